"""The walk that carries identity: a variable keeps its name to the letter, and what is derived is nobody else's."""

import numpy as np
import pytest
import tvm
from tvm import relax

from octet.passes.rewriting.forward import Forward
from octet.passes.rewriting.function import replace_main

NAMES = ("a.0", "a_0", "a/0", "é\u4e2d", "lambda", "0", "n" * 300, "a.0#2")


@pytest.fixture
def chain():
    """A chain of ReLUs with those names, and one that nobody reads."""
    x = relax.Var("x", relax.TensorType((2, 3), "float32"))
    bindings, value = [], x
    for name in NAMES:
        bindings.append(relax.VarBinding(relax.DataflowVar(name, x.ty), relax.op.nn.relu(value)))
        value = bindings[-1].var
    bindings.append(relax.VarBinding(relax.DataflowVar("unread", x.ty), relax.op.negative(value)))
    output = relax.Var("out", relax.TupleType([x.ty]))
    bindings.append(relax.VarBinding(output, relax.Tuple([value])))
    body = relax.BlockBuilder().normalize(relax.SeqExpr([relax.DataflowBlock(bindings)], output))
    return tvm.IRModule({"main": relax.Function([x], body, output.ty)})


def names_of(function):
    return [binding.var.name for block in function.body.blocks for binding in block.bindings]


def test_what_a_walk_has_nothing_to_say_of_stays(chain):
    again = replace_main(chain, Forward(chain["main"]).run())
    assert names_of(again["main"]) == [*NAMES, "out"], "all but what nobody reads, in order"
    assert [param.name for param in again["main"].params] == ["x"]
    relax.analysis.well_formed(again)


def test_a_derived_variable_has_an_identity_of_its_own(chain):
    class Doubled(Forward):
        def visit(self, var, value):
            if var.name == "a.0":
                twice = self.derive(relax.op.multiply(self.new(value.args[0]), relax.const(np.float32(2))), "a.0")
                assert self.definition(twice).op.name == "relax.multiply"
                return self.emit(relax.op.nn.relu(twice), var.name)

    names = names_of(Doubled(chain["main"]).run())
    assert names == ["a.0#3", *NAMES, "out"]


def test_a_name_that_a_derived_one_had_to_leave_is_still_its_owners(chain):
    class Expanded(Forward):
        def visit(self, var, value):
            new = self.carry(var, value)
            return self.derive(relax.op.nn.relu(new), f"{var.name}.more") if isinstance(value, relax.Call) else None

    names = names_of(Expanded(chain["main"]).run())
    assert len(set(names)) == len(names) and set(NAMES) <= set(names)
