"""Lower: logical operators -> calls of kernels on physical buffers.

    y = octet.conv2d(x, w, ...)    ==>    y' = R.call_tir(kernel, (x', packed w, ...)),
            x', y' flat buffers in the target's layout

Runs after `Realize` and `FuseFloat`. One walk over `main`; a rule per operator (tables `RULES` of the rules_*.py files)
emits kernels; an operator without a rule is kept as plain Relax and gets the fallback schedule. A tensor is reformatted
at most once per layout."""

from collections.abc import Callable
from functools import partial
from typing import Any

import tvm
from tvm import relax

from ....targets.spec import TargetSpec
from ....targets.tuned import Records
from ....targets.x86.isa import UNITS, building_for
from ....targets.x86.layout import Layout, as_is
from ...ops import shape_of
from ...rewriting.loops import RecurrentLoop, loops_of
from ..fusion import find_fusions
from ..linearize import LAYERS
from ..lowered import lowered
from ..rolling.emit import lower_loop
from ..watch.counted_clips import rounded_by
from ..watch.watch import Watch
from .context import CpuContext, Packing
from .fallback import fallback
from .fused import FUSED, able
from .results import own_results
from .value import Value

Rule = Callable[[relax.Call, "CpuContext"], Value | tuple[Value, ...] | None]


def lower(
    mod: tvm.IRModule,
    spec: TargetSpec,
    rules: dict[str, list[Rule]],
    tuned: Records | None = None,
    params: list[Layout] | None = None,
    results: list[Layout] | None = None,
    watch: Watch | None = None,
    packing: Packing | None = None,
) -> tuple[tvm.IRModule, list[str]]:
    """The module of kernels and call_tir, and the operators that had no kernel of their own. params, results: how the
    parameters lie and the results have to, where not all of them are plain. watch: where what is watched is noted.
    packing: takes, by the variable of a layer, a function from (its weights, its bias), as the layer's operands, to the
    constants that its kernel reads behind the data."""
    with building_for(spec.dot):
        return _lower(mod, spec, rules, tuned, params, results, watch, packing)


def _lower(
    mod: tvm.IRModule,
    spec: TargetSpec,
    rules: dict[str, list[Rule]],
    tuned: Records | None,
    params: list[Layout] | None,
    results: list[Layout] | None,
    watch: Watch | None,
    packing: Packing | None,
) -> tuple[tvm.IRModule, list[str]]:
    main = mod["main"]
    builder = relax.BlockBuilder()
    context = CpuContext(spec, builder, tuned=tuned, watch=watch, packing=packing)
    fusions, inner = find_fusions(main, able(UNITS[spec.dot].vbmi))
    layouts = (
        [Layout("plain", shape_of(param), as_is(str(param.ty.dtype))) for param in main.params]
        if params is None
        else params
    )
    stored = [_stored(param, layout) for param, layout in zip(main.params, layouts, strict=True)]
    with builder.function("main", stored):
        with builder.dataflow():
            for param, var, layout in zip(main.params, stored, layouts):
                context.values[param] = Value(var, layout)

            def bind(var: relax.Var, value: relax.Expr) -> None:
                context.layer = var.name
                context.rounded = rounded_by(value) if watch is not None and watch.clips else None
                if isinstance(value, relax.Call) and (
                    value.op.name == "relax.dequantize" or value.op.name.startswith("octet.")
                ):
                    context.codes(value)
                if var in fusions:
                    fuse: Any = FUSED[type(fusions[var])]
                    context.values[var] = fuse(fusions[var], context)
                elif var not in inner:
                    context.values[var] = lowered(value, context, rules, partial(fallback, context))

            for each in loops_of(mod).arranged():
                lower_loop(each, context, bind) if isinstance(each, RecurrentLoop) else bind(*each)
            context.layer = ""
            values = _outputs(main.body.body, context)
            values = (
                [context.as_is(value) for value in values]
                if results is None
                else [context.formed(value, layout) for value, layout in zip(values, results, strict=True)]
            )
            outputs = [builder.emit_output(value.var) for value in own_results(values, context)]
        builder.emit_func_output(relax.Tuple(outputs))
    return builder.get().with_attr(LAYERS, list(context.layers)), context.fallbacks


def _stored(param: relax.Expr, layout: Layout) -> relax.Expr:
    """The variable that holds `param` in `layout`."""
    same = layout.kind == "plain" and layout.storage == str(param.ty.dtype)
    return param if same else relax.Var(param.name, relax.TensorType(layout.physical_shape, layout.storage))


def _outputs(result: relax.Expr, context: CpuContext) -> list[Value]:
    """What `main` returns."""
    if isinstance(result, relax.Tuple):
        return [context.find(field) for field in result.fields]
    value = context.values[result]
    return list(value) if isinstance(value, tuple) else [value]
