"""octet.non_max_suppression and octet.nonzero: choices whose number is known at run time only. Plain tensors, scalar
loops.

Of every image and class the candidates are a heap, the best on top; the best one leaves it again and again, and is kept
unless it overlaps with
one that was kept. So the time follows how many leave, not how many there are."""

from dataclasses import dataclass
from math import prod

from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import bind, pure
from ..kernel import built_once, emit_kernel
from ..layout import Layout
from ..vector_loops import each, tensors


@dataclass(frozen=True)
class SuppressionProblem:
    """Boxes chosen by score, without those that overlap better ones. most: boxes kept of an image and class. threshold:
    None where every score that is a number counts."""

    images: int
    classes: int
    boxes: int
    most: int
    overlap: float
    threshold: float | None
    centers: bool

    @property
    def groups(self) -> int:
        """How many groups are selected from: each is one class of one image."""
        return self.images * self.classes

    @property
    def kept(self) -> Layout:
        """int64 [groups * most, 3]: image, class and box of each, the first ones in use."""
        return Layout("plain", (self.groups * self.most, 3), "int64")

    @property
    def scratch(self) -> int:
        """Elements of int32: per group a heap, the boxes that were kept and their number."""
        return self.groups * (self.boxes + self.most + 1)


@built_once
def non_max_suppression(p: SuppressionProblem) -> tirx.PrimFunc:
    """The kernel (boxes, scores, rows, scratch)."""
    per_group = p.boxes + p.most + 1

    def body() -> None:
        boxes, scores, rows, scratch = tensors(
            boxes=Layout("plain", (p.images, p.boxes, 4), "float32"),
            scores=Layout("plain", (p.images, p.classes, p.boxes), "float32"),
            rows=p.kept,
            scratch=Layout("plain", (p.scratch,), "int32"),
        )
        with each(p.groups, 64 * p.groups * p.boxes) as group:
            heap = _Heap(scratch, bind(group * per_group), scores, bind(group * p.boxes))
            kept = bind(group * per_group + p.boxes)
            first = bind(group // p.classes * (p.boxes * 4))
            with T.serial(0, p.boxes) as i:
                score = bind(scores[heap.scores_at + i])
                wanted = (
                    tirx.Not(tirx.isnan(score)) if p.threshold is None else score > tirx.const(p.threshold, "float32")
                )
                with T.If(wanted):
                    with T.Then():
                        heap.append(i)
            heap.order()
            count = _cell(0)
            with T.While(tirx.And(heap.size[0] > 0, count[0] < p.most)):
                box = bind(heap.best())
                heap.drop_best()
                alone, one = _cell(1), _Box(boxes, bind(first + box * 4), p.centers)
                k = _cell(0)
                with T.While(tirx.And(k[0] < count[0], alone[0] > 0)):
                    other = _Box(boxes, bind(first + scratch[kept + k[0]] * 4), p.centers)
                    with T.If(one.overlaps(other, p.overlap)):
                        with T.Then():
                            T.buffer_store(alone, 0, [0])
                    T.buffer_store(k, k[0] + 1, [0])
                with T.If(alone[0] > 0):
                    with T.Then():
                        T.buffer_store(scratch, box, [kept + count[0]])
                        T.buffer_store(count, count[0] + 1, [0])
            T.buffer_store(scratch, count[0], [kept + p.most])
        _collect(p, scratch, rows)

    threshold = "" if p.threshold is None else f"_above_{p.threshold:g}"
    return emit_kernel(f"non_max_suppression_{p.images}x{p.classes}x{p.boxes}_{p.most}{threshold}", body)


def _collect(p: SuppressionProblem, scratch: tirx.Expr, rows: tirx.Buffer) -> None:
    """The boxes kept of all groups one behind the other, and -1 behind them."""
    per_group, row = p.boxes + p.most + 1, _cell(0)
    with T.serial(0, p.groups) as group:
        kept = bind(group * per_group + p.boxes)
        with T.serial(0, scratch[kept + p.most]) as k:
            for column, value in enumerate((group // p.classes, group % p.classes, scratch[kept + k])):
                T.buffer_store(rows, tirx.Cast("int64", value), [row[0] * 3 + column])
            T.buffer_store(row, row[0] + 1, [0])
    with T.serial(row[0] * 3, p.groups * p.most * 3) as at:
        T.buffer_store(rows, tirx.const(-1, "int64"), [at])


class _Heap:
    """Indices of scores at scratch[at:]; no parent comes behind its children: in descending score, at equal scores
    the lower index first."""

    def __init__(self, scratch: tirx.Expr, at: tirx.Expr, scores: tirx.Expr, scores_at: tirx.Expr) -> None:
        self.scratch, self.at, self.scores, self.scores_at, self.size = scratch, at, scores, scores_at, _cell(0)

    def append(self, index: tirx.Expr) -> None:
        T.buffer_store(self.scratch, index, [self.at + self.size[0]])
        T.buffer_store(self.size, self.size[0] + 1, [0])

    def order(self) -> None:
        """Makes a heap of the candidates that were appended."""
        parents = bind(self.size[0] // 2)
        with T.serial(0, parents) as i:
            self._sift(bind(parents - 1 - i))

    def best(self) -> tirx.Expr:
        return self.scratch[self.at]

    def drop_best(self) -> None:
        T.buffer_store(self.size, self.size[0] - 1, [0])
        T.buffer_store(self.scratch, self.scratch[self.at + self.size[0]], [self.at])
        self._sift(0)

    def _sift(self, start: tirx.Expr | int) -> None:
        place = _cell(start)
        with T.While(place[0] * 2 + 1 < self.size[0]):
            left = bind(place[0] * 2 + 1)
            right = bind(tirx.min(left + 1, self.size[0] - 1))
            child = bind(tirx.Select(self._before(right, left), right, left))
            with T.If(self._before(child, place[0])):
                with T.Then():
                    held = bind(self.scratch[self.at + child])
                    T.buffer_store(self.scratch, self.scratch[self.at + place[0]], [self.at + child])
                    T.buffer_store(self.scratch, held, [self.at + place[0]])
                    T.buffer_store(place, child, [0])
                with T.Else():
                    T.buffer_store(place, self.size[0], [0])

    def _before(self, a: tirx.Expr | int, b: tirx.Expr | int) -> tirx.Expr:
        i, j = bind(self.scratch[self.at + a]), bind(self.scratch[self.at + b])
        x, y = bind(self.scores[self.scores_at + i]), bind(self.scores[self.scores_at + j])
        return tirx.Or(x > y, tirx.And(tirx.EQ(x, y), i < j))


class _Box:
    """low and high of both axes, and the area."""

    def __init__(self, boxes: tirx.Expr, at: tirx.Expr, centers: bool) -> None:
        a, b, c, d = (bind(boxes[at + k]) for k in range(4))
        if centers:
            w, h = bind(_product(c, tirx.const(0.5, "float32"))), bind(_product(d, tirx.const(0.5, "float32")))
            self.low, self.high = (bind(a - w), bind(b - h)), (bind(a + w), bind(b + h))
        else:
            self.low, self.high = (
                (bind(tirx.min(a, c)), bind(tirx.min(b, d))),
                (bind(tirx.max(a, c)), bind(tirx.max(b, d))),
            )
        self.area = bind(_product(self.high[0] - self.low[0], self.high[1] - self.low[1]))

    def overlaps(self, other: "_Box", limit: float) -> tirx.Expr:
        sides = [bind(tirx.min(self.high[k], other.high[k]) - tirx.max(self.low[k], other.low[k])) for k in (0, 1)]
        shared = bind(_product(*sides))
        union = bind((self.area + other.area) - shared)
        positive = tirx.all(
            *(value > tirx.const(0, "float32") for value in (*sides, self.area, other.area, union, shared))
        )
        return tirx.And(positive, tirx.Div(shared, union) > tirx.const(limit, "float32"))


def _product(a: tirx.Expr, b: tirx.Expr) -> tirx.Expr:
    """Rounded, whatever is added to it."""
    return pure("float32", "llvm.arithmetic.fence", a * b)


@built_once
def nonzero(shape: tuple[int, ...]) -> tirx.PrimFunc:
    """The kernel (x, places) that lists where x, bool of `shape`, is true."""
    count = prod(shape)

    def body() -> None:
        x, places = tensors(x=Layout("plain", shape, "bool"), places=Layout("plain", (len(shape), count), "int64"))
        found = _cell(0)
        with T.serial(0, count) as i:
            with T.If(x[i]):
                with T.Then():
                    for axis in range(len(shape)):
                        place = i // prod(shape[axis + 1 :]) % shape[axis]
                        T.buffer_store(places, tirx.Cast("int64", place), [axis * count + found[0]])
                    T.buffer_store(found, found[0] + 1, [0])
        with T.serial(found[0], count) as behind:
            for axis in range(len(shape)):
                T.buffer_store(places, tirx.const(-1, "int64"), [axis * count + behind])

    return emit_kernel(f"nonzero_{'x'.join(map(str, shape))}", body)


def _cell(value: tirx.Expr | int) -> tirx.Expr:
    """One int32 that a loop changes."""
    cell = T.alloc_buffer((1,), "int32")
    T.buffer_store(cell, value, [0])
    return cell
