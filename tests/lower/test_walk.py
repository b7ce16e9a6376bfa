"""Every form of expression, for any kind of target: a context that answers with words."""

from types import SimpleNamespace

import numpy as np
from tvm import relax

from octet.passes.lower.lowered import lowered


def test_every_form_of_expression():
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType([2, 3], "float32"))
    with builder.function("main", [x]):
        product = builder.emit(relax.op.multiply(x, x))
        pair = builder.emit(relax.Tuple([x, relax.const(np.float32(1))]))
        builder.emit_func_output(pair)
    context = SimpleNamespace(values={x: "x", pair: ("first", "second")}, find=lambda expr: "found")
    rules = {"relax.multiply": [lambda call, ctx: None, lambda call, ctx: "product" if ctx is context else None]}
    walk = lambda expr: lowered(expr, context, rules, lambda call: f"other {call.op.name}")
    call = builder.get()["main"].body.blocks[0].bindings[0]
    assert call.var.same_as(product) and walk(call.value) == "product"
    assert walk(relax.op.add(x, x)) == "other relax.add"
    assert walk(x) == "x" and walk(relax.const(np.float32(1))) == "found"
    assert walk(relax.Tuple([x, x])) == ("found", "found") and walk(relax.TupleGetItem(pair, 1)) == "second"
