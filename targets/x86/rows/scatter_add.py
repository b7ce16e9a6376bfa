"""octet.scatter_add: rows of a matrix with other rows added to them, by number and in order. A task has columns of its
own, so that no two write to one place, and the order of every sum is that of the rows."""

from collections.abc import Callable
from dataclasses import dataclass

from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import bind, load_vector, store_vector
from ..kernel import built_once, emit_kernel
from ..layout import Layout
from ..vector_loops import each, tensors

_COLUMNS = 64  # Four vectors of a row are a line or more of every level's cache, and their sums stay in L2.
_LANES = 16


@dataclass(frozen=True)
class ScatterProblem:
    """Rows of a matrix that others are added to. rows: of the matrix. updates: layout of the rows that are added, plain
    or packed; their numbers have the dtype `index`."""

    rows: int
    updates: Layout
    index: str

    @property
    def count(self) -> int:
        """How many rows are added."""
        return self.updates.shape[0]

    @property
    def width(self) -> int:
        """Elements of a row."""
        return self.updates.shape[1]

    @property
    def result(self) -> Layout:
        """Row-major."""
        return Layout("plain", (self.rows, self.width), "float32")

    @property
    def traffic(self) -> int:
        """Bytes read and written by one run."""
        return 8 * self.rows * self.width + self.count * (4 * self.width + (8 if self.index == "int64" else 4))


@built_once
def scatter_add(p: ScatterProblem) -> tirx.PrimFunc:
    """(data, updates, numbers, y): y = data, then y[numbers[k]] += updates[k] for k = 0, 1, ..; a number outside of the
    rows adds nothing."""

    def body() -> None:
        numbers = Layout("plain", (p.count,), p.index)
        arguments = tensors(data=p.result, updates=p.updates, numbers=numbers, y=p.result)
        whole = p.width // _COLUMNS
        if whole:
            with each(whole, p.traffic) as block:
                _columns(p, arguments, bind(block * _COLUMNS), _COLUMNS)
        if p.width % _COLUMNS:
            _columns(p, arguments, whole * _COLUMNS, p.width % _COLUMNS)

    return emit_kernel(f"scatter_add_{p.updates.kind}_{p.rows}x{p.width}_{p.count}_{p.index}", body)


def _columns(p: ScatterProblem, arguments: list[tirx.Buffer], first: tirx.Expr | int, size: int) -> None:
    data, updates, numbers, y = arguments
    stride = p.width if p.updates.kind == "plain" else p.updates.channel_stride
    with T.serial(0, p.rows) as row:
        start = bind(row * p.width + first)
        _pieces(size, lambda at, lanes: store_vector(y, start + at, load_vector(data, start + at, lanes)))
    with T.serial(0, p.count) as k:
        number = bind(numbers[k])
        inside = tirx.And(number >= tirx.const(0, p.index), number < tirx.const(p.rows, p.index))
        with T.If(inside):
            with T.Then():
                to, added = bind(tirx.Cast("int32", number) * p.width + first), bind(k * stride + first)

                def add(at: int, lanes: int) -> None:
                    total = load_vector(y, to + at, lanes) + load_vector(updates, added + at, lanes)
                    store_vector(y, to + at, total)

                _pieces(size, add)


def _pieces(size: int, piece: Callable[[int, int], None]) -> None:
    """piece(at, lanes) over [0, size), each place once."""
    for at in range(0, size, _LANES):
        piece(at, min(_LANES, size - at))
