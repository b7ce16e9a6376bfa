"""The referee: a plain NumPy interpreter of a Relax dataflow function.

It runs the integer graph bit for bit by the contract of `passes/ops.py`; every target must equal it byte for byte. It
also runs the fp32 module and the QDQ hub (fake quantisation), with the float operators as defined in `floats.py`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tvm
from tvm import relax

from .. import ops
from ..constants import array_of
from ..ops import shape_of
from ..rewriting.dataflow_graph import Binding, variables
from ..rewriting.loops import MARKS, RecurrentLoop, loops_of
from .bfloat16 import BFLOAT16
from .elementwise import ELEMENTWISE
from .floats import FLOAT
from .integer import INTEGER
from .movement import MOVEMENT
from .order import ORDER
from .resize import METHODS
from .selection import SELECTION
from .values import Values

# Evaluates a call on its operands' values.
Other = Callable[[relax.Call, Values], Any]
Seen = Callable[[relax.Call, Values], None]  # An observer is told of every call, with its operands' values.

_OPERATORS = FLOAT | BFLOAT16 | INTEGER | ELEMENTWISE | MOVEMENT | ORDER | SELECTION


def run(
    module: tvm.IRModule, inputs: dict[str, np.ndarray], other: Other | None = None, seen: Seen | None = None
) -> list[np.ndarray]:
    """The outputs of `main` as a list of arrays. inputs: {parameter name: array}, cast to nothing, checked against the
    declared types.
    other: evaluates a call that is `handed_on`, as `evaluate` does (passes/export/evaluate.py). seen: is told of every
    call in front of it."""
    function = module["main"]
    values = {}
    for param in function.params:
        value = np.asarray(inputs[param.name])
        shape = shape_of(param)
        assert value.shape == shape, f"input {param.name!r} has shape {value.shape}, not {shape}"
        assert value.dtype == str(param.ty.dtype), f"input {param.name!r} is {value.dtype}, not {param.ty.dtype}"
        values[param] = value
    bindings = loops_of(module).arranged()
    last_use = _last_uses(bindings)
    kept = set(variables(function.body.body))
    for position, binding in enumerate(bindings):
        if isinstance(binding, RecurrentLoop):
            _steps(binding, values, other, seen)
        else:
            values[binding[0]] = value_of(binding[1], values, other, seen)
        for var in _read(binding):
            if last_use[var] == position and var not in kept:
                values.pop(var, None)
    result = value_of(function.body.body, values)
    return list(result) if isinstance(result, tuple) else [result]


def evaluate(call: relax.Call, args: Values) -> float | np.ndarray | tuple[np.ndarray, ...]:
    """One operator on NumPy operands; `args` stand for call.args (arrays, tuples of arrays, Python literals)."""
    assert call.op.name in _OPERATORS, f"the referee has no operator {call.op.name}"
    return _OPERATORS[call.op.name](args, ops.attrs_of(call))


def handed_on(call: relax.Call) -> bool:
    """Whether the referee lacks the operator: another reference may compute it."""
    name = call.op.name
    return name not in _OPERATORS or (name == "relax.image.resize2d" and ops.attrs_of(call)["method"] not in METHODS)


def operators_handed_on(module: tvm.IRModule) -> list[str]:
    """The operators of `main` that are handed on, each once."""
    values = [binding.value for block in module["main"].body.blocks for binding in block.bindings]
    return sorted(
        {
            value.op.name
            for value in values
            if isinstance(value, relax.Call) and not ops.is_op(value, *MARKS) and handed_on(value)
        }
    )


def value_of(
    expr: relax.Expr,
    values: Mapping[Any, Any],
    other: Other | None = None,
    seen: Seen | None = None,
) -> Any:
    """The NumPy value of an operand or a bound expression; `values` holds the variables'. other, seen: as of `run`."""
    if isinstance(expr, relax.Var):
        return values[expr]
    if isinstance(expr, tvm.ir.GenericConst):
        return array_of(expr)
    if isinstance(expr, relax.Tuple):
        return tuple(value_of(field, values) for field in expr.fields)
    if isinstance(expr, relax.TupleGetItem):
        return value_of(expr.tuple_value, values)[expr.index]
    if isinstance(expr, relax.ShapeExpr):
        return [int(extent) for extent in expr.values]
    if isinstance(expr, relax.Call):
        with np.errstate(all="ignore"):  # The contract means IEEE values of overflows and of NaN.
            chosen = other if other is not None and handed_on(expr) else evaluate
            args = [value_of(arg, values) for arg in expr.args]
            if seen is not None:
                seen(expr, args)
            result = chosen(expr, args)
        return _checked(expr, result)
    return expr.value  # Literals (IntImm, FloatImm, StringImm, DataTypeImm) have a value.


def _checked(expr: relax.Call, result: Any) -> Any | tuple[np.ndarray, ...]:
    """The result; a shape or dtype that differs from the declared one is a bug of the referee or of the pass that made
    the call."""
    if isinstance(result, np.ndarray) and isinstance(expr.ty, relax.TensorType):
        declared = shape_of(expr)
        assert result.shape == declared and result.dtype == str(expr.ty.dtype), (
            f"{expr.op.name}: {result.dtype}{result.shape} computed, {expr.ty.dtype}{declared} declared"
        )
    return result


def _steps(loop: RecurrentLoop, values: dict[relax.Var, Any], other: Other | None, seen: Seen | None) -> None:
    """Runs a loop: its results, and what its last step leaves, are in `values`."""
    values.update({var: value_of(start, values) for var, start in loop.states.values()})
    stacks: dict[relax.Expr, list[Any]] = {
        var: [None] * loop.steps for var, value in loop.results if ops.is_op(value, "octet.loop_stack")
    }
    results = dict(loop.results)
    for t in loop.numbers:
        for var, value in loop.body:
            if ops.is_op(value, "octet.loop_slice"):
                values[var] = value_of(value.args[0], values)[t]
            elif not ops.is_op(value, *MARKS):
                values[var] = value_of(value, values, other, seen)
        for var, parts in stacks.items():
            parts[t] = value_of(results[var].args[0], values)
        last = [value_of(each, values) for each in loop.next]
        if t != loop.numbers[-1]:
            values.update({var: last[i] for i, (var, _) in loop.states.items()})
    for var, value in loop.results:
        values[var] = np.stack(stacks[var]) if var in stacks else value_of(value.args[0], values)


def _read(binding: Binding | RecurrentLoop) -> list[relax.Expr]:
    """The variables that a binding, or a loop, reads."""
    values = (
        [value for _, value in (*binding.body, *binding.results)]
        if isinstance(binding, RecurrentLoop)
        else [binding[1]]
    )
    return [var for value in values for var in variables(value)]


def _last_uses(bindings: list[Binding | RecurrentLoop]) -> dict[relax.Expr, int]:
    return {var: position for position, binding in enumerate(bindings) for var in _read(binding)}
