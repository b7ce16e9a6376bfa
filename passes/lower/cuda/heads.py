"""Linear layers of one input whose results attention splits into heads, as one product:

    q, k, v = octet.dense(x, w_q, ..), octet.dense(x, w_k, ..), octet.dense(x, w_v, ..)    ==>
            launch conv_mma(x', packed [w_q, w_k, w_v], ..)

Results that are read as heads (reshape, permute_dims, octet.matmul) become views of its rows. Those of the values,
whose bytes a sum wants together along the tokens, are stored that way by the epilogue where a granule holds tokens of
one sequence."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from tvm import relax

from ....targets.cuda.layout import GRANULE, Strided
from ... import ops
from ...ops import shape_of
from ...rewriting.dataflow_graph import DataflowGraph
from .context import CudaContext, CudaTensor
from .rules_conv import heads


@dataclass(frozen=True)
class Heads:
    """Layers of one input: variable and call of each; values: how many of them, the last ones, are stored along the
    tokens."""

    layers: tuple[tuple[relax.Var, relax.Call], ...]
    values: int

    def lower(self, ctx: CudaContext) -> dict[relax.Var, CudaTensor]:
        """Emits the layers as one product; returns {variable of a layer: its tensor}."""
        ctx.var = self.layers[0][0]
        calls = [call for _, call in self.layers]
        images, tokens, _ = shape_of(calls[0])
        widths = [shape_of(call)[-1] for call in calls]
        normal = sum(widths[: len(widths) - self.values])
        weight, bias, multiplier = (np.concatenate([ctx.constant(call.args[i]) for call in calls]) for i in (1, 2, 3))
        storage = heads(calls[0], ctx, weight, bias, multiplier, (normal, tokens) if self.values else None)
        found, start = {}, 0
        for i, ((var, _), width) in enumerate(zip(self.layers, widths, strict=True)):
            turned = i >= len(widths) - self.values
            at = images * tokens * normal + (start - normal) * tokens if turned else start
            steps = (tokens * (sum(widths) - normal), 1, tokens) if turned else (tokens * normal, normal, 1)
            found[var] = CudaTensor(
                Strided((images, tokens, width), steps, "int8"), ctx.part(storage, at, prod((images, tokens, width)))
            )
            start += width
        return found


def heads_of(main: relax.Function) -> dict[relax.Var, Heads]:
    """{first variable: the Heads that it begins with}."""
    graph = DataflowGraph(main)
    groups: dict[Any, list[Any]] = {}
    for var, call in graph.bindings:
        if (
            ops.is_op(call, "octet.dense")
            and len(call.args) == 4
            and str(call.args[0].ty.dtype) == "int8"
            and len(shape_of(call)) == 3
            and shape_of(call)[-1] % GRANULE == 0
        ):
            attrs = ops.attrs_of(call)
            side = _side(graph, var)
            if attrs["out_dtype"] == "int8" and side is not None:
                key = (
                    call.args[0],
                    *(attrs[name] for name in ("data_zero_point", "out_zero_point", "clip_min", "clip_max")),
                )
                groups.setdefault(key, []).append((var, call, side))
    return {layers[0][0]: _heads(layers) for layers in groups.values() if len(layers) > 1}


def _heads(layers: list[tuple[relax.Var, relax.Call, str]]) -> Heads:
    tokens = shape_of(layers[0][1])[1]
    values = [layer for layer in layers if layer[2] == "values"] if tokens % GRANULE == 0 else []
    others = [layer for layer in layers if layer not in values]
    return Heads(tuple((var, call) for var, call, _ in (*others, *values)), len(values))


def _side(graph: DataflowGraph, var: relax.Var) -> str | None:
    """How the heads of a linear layer's result are read: "values" where the sum of their product runs over tokens,
    "rows" where it runs over a head's width; None where they are read in another way."""
    call = var
    for name in ("relax.reshape", "relax.permute_dims", "octet.matmul"):
        users = graph.users(call)
        if len(users) != 1 or users[0] is None or not ops.is_op(graph.definition(users[0]), name):
            return None
        before, call = call, users[0]
        value = graph.definition(call)
        if name == "relax.reshape":
            shape = shape_of(value)
            if len(shape) != 4 or shape[:2] != shape_of(graph.definition(var))[:2] or shape[-1] % GRANULE:
                return None
        elif name == "relax.permute_dims":
            axes = [int(axis) % 4 for axis in value.attrs.axes or ()]
    left = value.args[0] == before
    if value.args[0] == value.args[1] or axes not in ([0, 2, 1, 3], [0, 2, 3, 1]):
        return None
    return "rows" if left == (axes == [0, 2, 1, 3]) else "values"
