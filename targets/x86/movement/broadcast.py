"""A tensor written out in the shape that NumPy's broadcasting gives it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from tvm.tirx.script import builder as T

from ...cpu.expressions import bind, load_vector, splat, store_vector
from ..kernel import built_once, emit_kernel
from ..layout import Layout
from ..vector_loops import each, tensors

if TYPE_CHECKING:
    from tvm import tirx


@dataclass(frozen=True)
class BroadcastProblem:
    """A packed operand repeated along axes up to the shape of another. source: layout of the operand; shape: its shape
    with leading ones up to the rank of `target`, which is packed."""

    source: Layout
    shape: tuple[int, ...]
    target: Layout

    def __post_init__(self) -> None:
        assert len(self.shape) == len(self.target.shape) and self.target.kind != "plain", self
        assert self.source.kind == "plain" or self.source.shape == self.shape, self


@built_once
def broadcast(p: BroadcastProblem) -> "tirx.PrimFunc":
    """The kernel (x, y) that repeats elements along axes."""
    order = (0, 2, 3, 1) if p.target.kind == "nhwc" else tuple(range(len(p.shape)))
    outer = [p.target.shape[axis] for axis in order[:-1]]
    strides = _strides(p, order)
    channels, size = p.target.channels, 1 if p.target.dtype == "int8" else 4

    def body() -> None:
        x, y = tensors(x=p.source, y=p.target)
        with each(prod(outer), prod(outer) * p.target.channel_stride * size) as row:
            start = bind(
                sum(_coordinate(row, outer, i) * stride for i, stride in enumerate(strides[:-1]) if stride) + row * 0
            )
            target = bind(row * p.target.channel_stride)
            if strides[-1] == 0:
                value = splat(bind(x[start]), x.dtype, 4)
                with T.serial(0, p.target.channel_stride // 4) as c:
                    store_vector(y, target + c * 4, value)
            elif p.source.kind != "plain":
                with T.serial(0, p.target.channel_stride // 4) as c:
                    store_vector(y, target + c * 4, load_vector(x, start + c * 4, 4))
            else:
                with T.serial(0, channels) as c:
                    T.buffer_store(y, x[start + c * strides[-1]], [target + c])

    return emit_kernel(f"broadcast_{p.target.dtype}_" + "x".join(map(str, (*p.shape, *p.target.shape))), body)


def _coordinate(row: "tirx.Expr | int", extents: Sequence[int], axis: int) -> "tirx.Expr | int":
    return (row // prod(extents[axis + 1 :])) % extents[axis]


def _strides(p: BroadcastProblem, order: tuple[int, ...]) -> list[int]:
    """Distance in the source between neighbours along each axis of the target, channels last; 0 where the source is
    broadcast."""
    if p.source.kind == "plain":
        steps = [prod(p.shape[axis + 1 :]) for axis in range(len(p.shape))]
        steps = [steps[axis] for axis in order]
    else:
        extents = [p.shape[axis] for axis in order[:-1]]
        steps = [prod(extents[i + 1 :]) * p.source.channel_stride for i in range(len(extents))] + [1]
    return [0 if p.shape[axis] == 1 else step for axis, step in zip(order, steps)]
