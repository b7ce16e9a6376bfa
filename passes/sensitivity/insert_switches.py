"""f(x, ...) -> f(octet.fake_quantize(x, p), ...) on chosen operands; p is a constant of its own for each, switched off.

Runs on the canonical fp32 graph, and leaves its function as it is until somebody writes parameters into the built network's constants."""

from dataclasses import dataclass

import numpy as np
from tvm import IRModule, relax

from ..annotate.graph import Graph
from ..ops import call
from .configuration import RESULT, Operand, result_fields

PARAMETERS = 16  # float32 values of one switch: see targets/x86/elementwise/fake_quantize.py


@dataclass(frozen=True)
class InsertSwitches:
    """operands: in the order of the switches (program order, results last: `sorted_operands`). taps: names of tensors that the network
    returns behind its results, in order."""

    operands: tuple[Operand, ...]
    taps: tuple[str, ...] = ()

    def __call__(self, mod: IRModule) -> IRModule:
        graph, wanted = Graph(mod), set(self.operands)
        builder, value = relax.BlockBuilder(), {}
        params = [relax.Var(p.name, p.ty) for p in graph.params]
        value.update(zip(graph.params, params))
        tapped = {p.name: p for p in params}

        def switched(reader, position, operand):
            operand = value.get(operand, operand) if isinstance(operand, relax.Var) else operand
            if (reader, position) not in wanted:
                return operand
            off = relax.const(np.zeros(PARAMETERS, np.float32))
            return builder.emit(call("octet.fake_quantize", [operand, off]), name_hint=f"switch_{len(value)}")

        with builder.function("main", params):
            with builder.dataflow():
                for node in graph.nodes:
                    if isinstance(node.value, relax.Tuple):
                        continue
                    new = builder.emit(rebuilt(node, lambda p, x, n=node: switched(n.index, p, x)), name_hint=node.name)
                    value[node.var] = tapped[node.name] = new
                results = [switched(RESULT, i, field) for i, field in enumerate(result_fields(graph))]
                results += [_returnable(builder, tapped[name]) for name in self.taps]
                result = builder.emit_output(relax.Tuple(results))
            builder.emit_func_output(result)
        switched_mod = IRModule(dict(mod.functions_items()), attrs=mod.attrs)
        switched_mod["main"] = builder.get()["main"]
        return switched_mod


def sorted_operands(operands) -> tuple[Operand, ...]:
    """Program order, the network's results last."""
    return tuple(sorted(operands, key=lambda operand: (operand[0] == RESULT, operand)))


def _returnable(builder, tensor):
    """A tensor that also exists elsewhere, as a result of its own."""
    return builder.emit(call("octet.fake_quantize", [tensor, relax.const(np.zeros(PARAMETERS, np.float32))]), name_hint="tap")


def rebuilt(node, operand):
    """The binding's value with its tensor operands replaced, counted as `Graph` counts them."""
    position = iter(range(len(node.inputs)))

    def replaced(expr):
        if isinstance(expr, relax.Tuple):
            return relax.Tuple([replaced(field) for field in expr.fields])
        if any(expr.same_as(x) for x in node.inputs):
            return operand(next(position), expr)
        return expr

    value = node.value
    if isinstance(value, relax.TupleGetItem):
        return relax.TupleGetItem(replaced(value.tuple_value), value.index)
    if isinstance(value, relax.Var):
        return replaced(value)
    return relax.Call(value.op, [replaced(arg) for arg in value.args], value.attrs, value.ty_args)
