"""Operators whose result depends on the order of elements along one axis: running sums and the largest or smallest k.
Plain tensors, scalar loops.

Running sums add element after element. Of equal values the one with the lower index comes first; a NaN is never
chosen."""

from dataclasses import dataclass
from math import prod

from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import bind
from ..kernel import built_once, emit_kernel
from ..layout import Layout
from ..vector_loops import each, tensors


@dataclass(frozen=True)
class AxisProblem:
    """An operator along one axis of a plain tensor. shape: of the operand; axis: not negative. dtype: float32, int32 or
    int64."""

    shape: tuple[int, ...]
    axis: int
    dtype: str

    def __post_init__(self) -> None:
        assert 0 <= self.axis < len(self.shape) and self.dtype in ("float32", "int32", "int64"), self

    @property
    def count(self) -> int:
        """How many elements lie along the axis."""
        return self.shape[self.axis]

    @property
    def inner(self) -> int:
        """Elements from one of the axis to the next."""
        return prod(self.shape[self.axis + 1 :])

    @property
    def rows(self) -> int:
        """How often the axis is worked through."""
        return prod(self.shape) // self.count

    @property
    def source(self) -> Layout:
        """The layout of the operand: row-major, of any rank."""
        return Layout("plain", self.shape, self.dtype)

    def result(self, count: int, dtype: str) -> Layout:
        """The layout of the result, with `count` elements along the axis."""
        return Layout("plain", (*self.shape[: self.axis], count, *self.shape[self.axis + 1 :]), dtype)

    @property
    def name(self) -> str:
        """What a kernel's name ends in: dtype, shape and axis."""
        return f"{self.dtype}_{'x'.join(map(str, self.shape))}_{self.axis}"


@built_once
def running_sum(p: AxisProblem, exclusive: bool) -> tirx.PrimFunc:
    """(x, y): y[i] = x[0] + ... + x[i], without x[i] if exclusive."""

    def body() -> None:
        x, y = tensors(x=p.source, y=p.source)
        with each(p.rows, 8 * prod(p.shape)) as row:
            start = bind(row // p.inner * (p.count * p.inner) + row % p.inner)
            total = _cell(p.dtype, tirx.const(0, p.dtype))
            with T.serial(0, p.count) as i:
                at = bind(start + i * p.inner)
                if exclusive:
                    before = bind(total[0])
                    T.buffer_store(total, before + x[at], [0])
                    T.buffer_store(y, before, [at])
                else:
                    T.buffer_store(total, total[0] + x[at], [0])
                    T.buffer_store(y, total[0], [at])

    return emit_kernel(f"running_sum_{'exclusive_' * exclusive}{p.name}", body)


@built_once
def top_k(p: AxisProblem, k: int, largest: bool, indices: bool) -> tirx.PrimFunc:
    """(x, y): y = the k largest (smallest) values in descending (ascending) order, or their places as int64. k passes
    over a row, each for the best value behind the one before."""
    target = p.result(k, "int64" if indices else p.dtype)
    better = tirx.GT if largest else tirx.LT

    def body() -> None:
        x, y = tensors(x=p.source, y=target)
        with each(p.rows, 8 * k * prod(p.shape)) as row:
            outer, lane = bind(row // p.inner), bind(row % p.inner)
            start = bind(outer * (p.count * p.inner) + lane)
            last, place, best, best_at = (
                _cell(p.dtype, tirx.const(0, p.dtype)),
                _cell("int32", -1),
                _cell(p.dtype, tirx.const(0, p.dtype)),
                _cell("int32", -1),
            )
            with T.serial(0, k) as rank:
                T.buffer_store(best_at, -1, [0])
                with T.serial(0, p.count) as i:
                    value = bind(x[start + i * p.inner])
                    behind = tirx.Or(better(last[0], value), tirx.And(tirx.EQ(last[0], value), i > place[0]))
                    candidate = tirx.Or(place[0] < 0, behind)
                    if p.dtype == "float32":
                        candidate = tirx.And(tirx.Not(tirx.isnan(value)), candidate)
                    with T.If(tirx.And(candidate, tirx.Or(best_at[0] < 0, better(value, best[0])))):
                        with T.Then():
                            T.buffer_store(best, value, [0])
                            T.buffer_store(best_at, i, [0])
                chosen = bind(tirx.max(best_at[0], 0))
                at = bind(outer * (k * p.inner) + rank * p.inner + lane)
                T.buffer_store(y, tirx.Cast("int64", chosen) if indices else x[start + chosen * p.inner], [at])
                with T.If(best_at[0] >= 0):
                    with T.Then():
                        T.buffer_store(last, best[0], [0])
                        T.buffer_store(place, best_at[0], [0])

    return emit_kernel(
        f"top_{k}_{'largest' if largest else 'smallest'}_{'places' if indices else 'values'}_{p.name}", body
    )


def _cell(dtype: str, value: tirx.Expr | int) -> tirx.Buffer:
    """One scalar that a loop changes."""
    cell = T.alloc_buffer((1,), dtype)
    T.buffer_store(cell, value, [0])
    return cell
