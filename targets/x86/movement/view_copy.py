"""A strided view written out in another layout."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from tvm.tirx.script import builder as T

from ...cpu.expressions import bind, load_vector, store_vector
from ..kernel import built_once, emit_kernel
from ..layout import Layout
from ..vector_loops import each
from ..view import View, view_of

if TYPE_CHECKING:
    from tvm import tirx


_SHORT = 8  # An innermost loop of fewer elements is short.


@dataclass(frozen=True)
class ViewCopyProblem:
    """Source and target have one logical shape and dtype, and lie differently."""

    source: View
    target: Layout | View

    def __post_init__(self) -> None:
        assert self.source.shape == self.target.shape and self.source.dtype == self.target.dtype, self


@built_once
def view_copy(p: ViewCopyProblem) -> "tirx.PrimFunc":
    """The kernel (x, y) that copies a tensor to other strides."""
    target = view_of(p.target)
    order = sorted(range(len(target.shape)), key=lambda axis: -target.strides[axis])
    axes = _merged(
        [(target.shape[a], p.source.strides[a], target.strides[a]) for a in order if target.shape[a] != 1]
    ) or [(1, 1, 1)]
    together = axes[-1][1:] == (1, 1)
    # The index of an iteration costs more than a few elements that do not lie together.
    inner = 2 if not together and axes[-1][0] < _SHORT and len(axes) > 1 else 1
    outer, run = axes[:-inner], axes[-inner:]
    size = 1 if p.target.storage in ("uint8", "int8") else 4

    def body() -> None:
        x = T.arg("x", T.Buffer(p.source.physical_shape, p.source.storage))
        y = T.arg("y", T.Buffer(p.target.physical_shape, p.target.storage))
        x, y = (T.decl_buffer((prod(b.shape),), b.dtype, data=b.data) for b in (x, y))
        rows = prod(axis[0] for axis in outer)
        with each(rows, rows * prod(axis[0] for axis in run) * size * 2) as row:
            source, sink, rest = p.source.offset, 0, row
            for length, step, to in reversed(outer):
                index = bind(rest % length)
                source, sink, rest = source + index * step, sink + index * to, rest // length
            source, sink = bind(source + row * 0), bind(sink + row * 0)
            if together:
                _copy(x, y, source, sink, run[-1][0], 64 // size)
            else:
                _elements(x, y, source, sink, run)

    return emit_kernel(f"view_{p.target.kind}_{p.target.dtype}_" + "x".join(map(str, p.target.shape)), body)


def _merged(axes: Iterable[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Neighbouring axes that are one run on both sides become one."""
    merged: list[tuple[int, int, int]] = []
    for extent, read, write in axes:
        if merged and merged[-1][1] == extent * read and merged[-1][2] == extent * write:
            extent *= merged.pop()[0]
        merged.append((extent, read, write))
    return merged


def _elements(
    x: "tirx.Buffer", y: "tirx.Buffer", source: "tirx.Expr", sink: "tirx.Expr", axes: list[tuple[int, int, int]]
) -> None:
    """One element after the other, along one or two axes; the last of two is unrolled."""
    (extent, read, write), *last = axes
    with T.serial(0, extent) as i:
        for j in range(last[0][0] if last else 1):
            step, to = (j * last[0][1], j * last[0][2]) if last else (0, 0)
            T.buffer_store(y, x[source + i * read + step], [sink + i * write + to])


def _copy(
    x: "tirx.Buffer", y: "tirx.Buffer", source: "tirx.Expr | int", sink: "tirx.Expr | int", extent: int, lanes: int
) -> None:
    whole = extent // lanes
    if whole:
        with T.serial(0, whole) as i:
            store_vector(y, sink + i * lanes, load_vector(x, source + i * lanes, lanes))
    done = whole * lanes
    while done < extent:
        while lanes > extent - done:
            lanes //= 2
        if lanes == 1:
            T.buffer_store(y, x[source + done], [sink + done])
        else:
            store_vector(y, sink + done, load_vector(x, source + done, lanes))
        done += lanes
