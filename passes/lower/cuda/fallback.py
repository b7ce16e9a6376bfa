"""The last resort: an operator without a kernel of its own, as TVM legalises it, becomes CUDA C++
(targets/cuda/generated/kernels.py).

    y = R.op(x, ...)    ==>    launch generated(x', ..), .., y',   x', y' plain, one launch per loop nest

Each nest is a task of its own for tuning. Such kernels are right and not fast; `Step.kernel` is "generated". What TVM
does not legalise either has no kernel on any target."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tvm
from tvm import relax, tirx

from ....targets.cuda.generated.cxx import Unsupported
from ....targets.cuda.generated.kernels import generate, stock_kernel
from ....targets.cuda.generated.stock import Stock
from ....targets.cuda.layout import plain
from ..legalize import legalize
from ..linearize import ALIASES
from .context import CudaTensor, notes

if TYPE_CHECKING:
    from ....targets.cuda.generated.kernels import Nest
    from ....targets.cuda.kernel import CudaKernel
    from ....targets.cuda.layout import CudaLayout
    from .context import CudaContext

FAMILY = "generated"


def generic(call: relax.Call, ctx: "CudaContext") -> "CudaTensor | tuple[CudaTensor, ...]":
    """Lowers an operator to the nests that TVM makes of it. Raises Unsupported where TVM has no TIR for the operator,
    or its TIR no C++."""
    main, operands = _legal(call, ctx)
    values = dict(zip(main["main"].params, operands, strict=True))
    for block in main["main"].body.blocks:
        for binding in block.bindings:
            values[binding.var] = _value(binding.value, values, main, call.op.name, ctx)
    return _result(main["main"].body.body, values)


def _legal(call: relax.Call, ctx: "CudaContext") -> tuple[tvm.IRModule, list[CudaTensor]]:
    """(the module of this operator alone, legalised; its operands)."""
    builder = relax.BlockBuilder()
    params: dict[relax.Var, Any] = {}
    operands: list[CudaTensor] = []

    def parameter(expr: relax.Expr) -> relax.Expr:
        if isinstance(expr, relax.Tuple):
            return relax.Tuple([parameter(field) for field in expr.fields])
        if isinstance(expr, relax.Var) and isinstance(ctx.values.get(expr), tuple):
            return relax.Tuple(
                [
                    _parameter(
                        params,
                        operands,
                        (expr, i),
                        field.layout.shape,
                        field.layout.dtype,
                        lambda field=field: _plain(ctx, field),
                    )
                    for i, field in enumerate(ctx.values[expr])
                ]
            )
        array = ctx.constant(expr)
        if array is not None and array.ndim > 0:
            return _parameter(params, operands, expr, array.shape, str(array.dtype), lambda: ctx.find(expr))
        if isinstance(expr, relax.Var):
            found = ctx.values[expr].layout
            return _parameter(params, operands, expr, found.shape, found.dtype, lambda: ctx.plain(expr))
        return expr  # Shapes, numbers and scalar constants stay as they are.

    args = [parameter(arg) for arg in call.args]
    with builder.function("main", list(params.values())):
        with builder.dataflow():
            made = builder.emit_output(builder.emit(relax.Call(call.op, args, call.attrs, call.ty_args)))
        builder.emit_func_output(made)
    try:
        with tvm.target.Target("llvm"):
            return legalize(builder.get()), operands
    except (
        AttributeError,
        TypeError,
        ValueError,
        RuntimeError,
    ) as error:  # TVM's legalisation fails with whatever its own code trips over.
        raise Unsupported(f"TVM cannot legalise it ({type(error).__name__})") from error


def _parameter(
    params: dict[relax.Var, relax.Var],
    operands: list[CudaTensor],
    key: Any,
    shape: tuple[int, ...],
    dtype: str,
    tensor: Callable[..., CudaTensor],
) -> relax.Var:
    if key not in params:
        params[key] = relax.Var(f"p{len(params)}", relax.TensorType(shape, dtype))
        operands.append(tensor())
    return params[key]


def _plain(ctx: "CudaContext", tensor: CudaTensor) -> CudaTensor:
    return ctx.formed(tensor, plain(tensor.layout.shape, tensor.layout.dtype))


def _value(
    value: relax.Expr, values: dict[relax.Var, Any], module: tvm.IRModule, operator: str, ctx: "CudaContext"
) -> Any:
    if isinstance(value, relax.Var):
        return values[value]
    if isinstance(value, relax.TupleGetItem):
        return values[value.tuple_value][value.index]
    if isinstance(value, relax.Tuple):
        return tuple(values[field] for field in value.fields)
    if isinstance(value, relax.Call) and value.op.name in ALIASES:
        return CudaTensor(_layout(value.ty), values[value.args[0]].storage)
    if not isinstance(value, relax.Call) or value.op.name != "relax.call_tir":
        raise Unsupported("TVM has no TIR for it")
    operands = [_constant(arg, ctx) if ctx.constant(arg) is not None else values[arg] for arg in value.args[1].fields]
    fields = list(value.ty.fields) if isinstance(value.ty, relax.TupleType) else [value.ty]
    results = _emitted(module[value.args[0]], operands, [_layout(field) for field in fields], operator, ctx)
    return tuple(results) if isinstance(value.ty, relax.TupleType) else results[0]


def _emitted(
    func: tirx.PrimFunc,
    operands: Sequence[CudaTensor],
    layouts: "Sequence[CudaLayout]",
    operator: str,
    ctx: "CudaContext",
) -> list[CudaTensor]:
    made = generate(func, FAMILY, operator.removeprefix("relax."))
    results = [ctx.empty(layout) for layout in layouts]
    tensors = dict(zip(made.parameters, (*operands, *results), strict=True))
    tensors |= {
        buffer: ctx.empty(plain((int(extent) for extent in buffer.shape), str(buffer.dtype)))
        for buffer in made.temporaries
    }
    for nest in made.nests:
        kernel, noted = _scheduled(nest, ctx)
        ctx.launch(kernel, [tensors[buffer] for buffer in (*nest.reads, *nest.writes)], operator, notes=noted)
    return results


def _scheduled(nest: "Nest", ctx: "CudaContext") -> "tuple[CudaKernel, dict[str, str] | None]":
    """(the nest's kernel, as a record has it if there is one; what its Step says)."""
    if nest.workload is None:
        return nest.kernel, None
    found = ctx.found(nest.workload)
    if found is None:
        return nest.kernel, notes(nest.workload, Stock(), None)
    return stock_kernel(nest.workload, found.schedule, FAMILY), notes(nest.workload, found.schedule, found)


def _constant(expr: relax.Expr, ctx: "CudaContext") -> CudaTensor:
    array = np.asarray(ctx.constant(expr))
    return CudaTensor(plain(array.shape, str(array.dtype)), ctx.array(array))


def _layout(ty: relax.TensorType) -> "CudaLayout":
    return plain((int(extent) for extent in ty.shape.values), str(ty.dtype))


def _result(expr: relax.Expr, values: dict[relax.Var, Any]) -> Any:
    if isinstance(expr, relax.Tuple):
        return tuple(values[field] for field in expr.fields)
    return values[expr]
