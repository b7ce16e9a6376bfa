"""Lower for CUDA: logical operators -> launches of kernels on buffers.

    y = octet.conv2d(x, w, ...)    ==>    launch conv_mma(x', packed w, bias, multiplier, .., y'),
            x', y' in the layouts of targets/cuda/layout.py

Runs after `Realize` and `FuseFloat`. One walk over `main`; a rule per operator (tables `RULES` of the rules_*.py files)
emits launches; an operator without a rule becomes kernels generated from its TIR (fallback.py). What cannot be
generated either is an error that names it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tvm
from tvm import relax

from ....targets.cuda.generated.cxx import Unsupported
from ....targets.cuda.kernels import movement
from ....targets.cuda.layout import plain
from ....targets.errors import TargetError
from ....targets.spec import TargetSpec
from ....targets.tuned import Records
from ...ops import shape_of
from ..lowered import lowered
from .context import ANY, CudaContext, CudaTensor, Lowered, Rule, Storage
from .fused import chains_of
from .heads import heads_of
from .widen_tables import WidenTables


def lower(mod: tvm.IRModule, spec: TargetSpec, rules: dict[str, list[Rule]], tuned: Records | None = None) -> Lowered:
    """The launches of `main`. tuned: schedules found by measuring. Raises TargetError for an operator without a
    kernel."""
    main = WidenTables()(mod)["main"]
    chains, inner = chains_of(main, spec)
    heads = heads_of(main)
    context = CudaContext(spec, tuned=tuned, users=_users(main))
    for i, param in enumerate(main.params):
        layout = plain(shape_of(param), str(param.ty.dtype))
        context.values[param] = CudaTensor(layout, Storage("input", i, bytes=layout.bytes))
    for block in main.body.blocks:
        for binding in block.bindings:
            context.var = binding.var
            if binding.var in chains:
                context.values[binding.var] = chains[binding.var](context)
            elif binding.var in heads:
                context.values |= heads[binding.var].lower(context)
            elif binding.var not in inner and binding.var not in context.values:
                context.values[binding.var] = _lowered(binding.value, context, rules)
    context.var = None
    fields = main.body.body.fields if isinstance(main.body.body, relax.Tuple) else [main.body.body]
    results = [
        tensor
        for expr in fields
        for tensor in _flat(context.values[expr] if isinstance(expr, relax.Var) else context.find(expr))
    ]
    outputs: list[Storage] = []
    for tensor in results:
        outputs.append(_output(tensor, outputs, context).storage)
    return Lowered(tuple(context.calls), tuple(outputs))


def _users(main: relax.Function) -> dict[relax.Expr | None, list[relax.Call | None]]:
    found: dict[relax.Expr | None, list[relax.Call | None]] = {}

    def note(expr: relax.Expr, user: relax.Expr | None) -> None:
        for part in expr.fields if isinstance(expr, relax.Tuple) else [expr]:
            if isinstance(part, relax.Var):
                found.setdefault(part, []).append(user)

    for block in main.body.blocks:
        for binding in block.bindings:
            for part in binding.value.args if isinstance(binding.value, relax.Call) else [binding.value]:
                note(part, binding.value if isinstance(binding.value, relax.Call) else None)
    note(main.body.body, None)
    return found


def _flat(value: CudaTensor | tuple[CudaTensor, ...]) -> list[CudaTensor]:
    return list(value) if isinstance(value, tuple) else [value]


def _output(tensor: CudaTensor, before: Sequence[Storage], context: CudaContext) -> CudaTensor:
    """The tensor in plain layout, in a buffer of its own."""
    formed = context.formed(tensor, plain(tensor.layout.shape, tensor.layout.dtype))
    if formed.storage.kind == "buffer" and formed.storage not in before:
        return formed
    return context.emit(
        movement.move(movement.copy(formed.layout, formed.layout), np.dtype(formed.layout.dtype).itemsize),
        [formed],
        formed.layout,
        "copy",
    )


def _lowered(expr: relax.Expr, context: CudaContext, rules: dict[str, list[Rule]]) -> Any:
    try:
        return lowered(expr, context, rules, lambda call: rules[ANY][0](call, context))
    except Unsupported as error:
        types = ", ".join(
            f"{arg.ty.dtype}{list(shape_of(arg))}"
            for arg in expr.args
            if isinstance(getattr(arg, "ty", None), relax.TensorType)
        )
        raise TargetError(
            f"target {context.spec.name}: {expr.op.name} ({context.layer}; {types}) has no CUDA kernel: {error}; "
            "leave this target out, or do that step outside of the network"
        ) from error
