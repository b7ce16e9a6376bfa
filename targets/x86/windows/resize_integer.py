"""octet.resize2d: linear interpolation of packed bytes with whole weights, requantized."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import bind, load_vector, splat
from ..kernel import built_once, emit_kernel
from ..layout import STORED_OFFSET, Layout
from ..vector import BYTES, LANES, check_range, round_straight, store_bytes, to_float, widen
from ..vector_loops import each, steps, tensors


@dataclass(frozen=True)
class IntegerResizeProblem:
    """An int8 image resized and requantised. source, target: nhwc int8, of the same images and channels. The other
    fields as in passes/ops.py."""

    source: Layout
    target: Layout
    row_units: int
    column_units: int
    data_zero_point: int
    out_zero_point: int
    multiplier: float
    clip_min: int
    clip_max: int

    def __post_init__(self) -> None:
        assert self.source.shape[:2] == self.target.shape[:2] and self.source.dtype == self.target.dtype == "int8", self
        check_range(255 * self.row_units * self.column_units * self.multiplier)


@built_once
def resize_integer(p: IntegerResizeProblem) -> tirx.PrimFunc:
    """(x, rows [OH * 3], columns [OW * 3], y)."""
    (n, _, h, w), (out_h, out_w), stride = p.source.shape, p.target.shape[2:], p.source.channel_stride
    offset = (p.data_zero_point + STORED_OFFSET) * p.row_units * p.column_units

    def taps(
        table: tirx.Buffer, at: tirx.Expr | int, units: int
    ) -> tuple[tuple[tirx.Expr, tirx.Expr], tuple[tirx.Expr, tirx.Expr]]:
        """(index, weight) of both neighbours."""
        low, high, weight = (bind(table[at * 3 + i]) for i in range(3))
        return (low, bind(tirx.const(units, "int32") - weight)), (high, weight)

    def body() -> None:
        tables = {
            name: Layout("plain", (3 * extent,), "int32") for name, extent in (("rows", out_h), ("columns", out_w))
        }
        x, rows, columns, y = tensors(x=p.source, **tables, y=p.target)
        with each(n * out_h, 5 * p.target.elements) as row:
            image, i = bind(row // out_h), bind(row % out_h)
            vertical = taps(rows, i, p.row_units)
            with T.serial(0, out_w) as j:
                corners = [
                    (bind(((image * h + r) * w + c) * stride), splat(bind(a * b), "int32"))
                    for (r, a), (c, b) in product(vertical, taps(columns, j, p.column_units))
                ]
                target = bind((row * out_w + j) * stride)
                steps(
                    stride, BYTES, lambda c, count: store_bytes(y, target + c, bind(mixed(x, corners, c, count)), count)
                )

    def mixed(
        x: tirx.Buffer, corners: Sequence[tuple[tirx.Expr, tirx.Expr]], c: tirx.Expr | int, count: int
    ) -> tirx.Expr:
        vectors = []
        for v in range(-(-count // LANES)):
            total = splat(-offset, "int32")
            for start, weight in corners:
                total = total + widen(load_vector(x, start + c + v * LANES, LANES)) * weight
            vectors.append(to_float(bind(total)) * splat(float(np.float32(p.multiplier)), "float32"))
        return round_straight(vectors, p.out_zero_point, p.clip_min, p.clip_max)

    return emit_kernel("resize_int8_" + "x".join(map(str, (*p.source.shape, *p.target.shape[2:]))), body)
