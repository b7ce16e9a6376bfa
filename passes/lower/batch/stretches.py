"""How many samples go through which stretch of the network together.

    cost(stretch, m) = (chunks - 1) * weights that do not stay in L2 + activations that do not stay there + calls,
            chunks = batch / m

Few samples keep activations of large images in the second-level cache between layers; many samples read the weights of
late layers from beyond it less often. The cheapest sequence of stretches is found by dynamic programming over the
places where the network may be cut. All constants are of a common server core."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf, prod

import numpy as np
import tvm
from tvm import relax

from ... import ops
from ...ops import shape_of
from ...rewriting.dataflow_graph import variables
from ..fusion import find_fusions
from ..linearize import ALIASES
from .analysis import BatchGraph, tensors_of

L2_BYTES = 2 << 20
_ROOM = 0.6  # One layer may touch this part of L2: above, some of it falls out.
_BEYOND = 25e9  # A core reads so many bytes per second from the third-level cache.
_CALL = 1e-6  # Beginning and ending a kernel takes so many seconds.
_LONGEST = 200  # A stretch has at most so many bindings, unless it can be cut nowhere: the search stays quick.
_CUT = 10e-6  # A cut costs so many seconds, as threads wait there for the last one.
_FORK = 2e-6  # The threads of one kernel wait so many seconds for each other, which chunks do not.


@dataclass(frozen=True)
class Stretch:
    """Bindings [first, last) of the graph, run for `samples` samples at a time."""

    first: int
    last: int
    samples: int


@dataclass(frozen=True)
class _Work:
    """Of one binding. weights: bytes of constants. moved: bytes of operands and results of one sample. apart: whether
    it may run in parts."""

    weights: int
    moved: float
    apart: bool
    free: bool


Choose = Callable[[BatchGraph], "list[Stretch]"]  # A choice cuts a batch into stretches.


def plan_stretches(batched: BatchGraph, l2: int = L2_BYTES) -> list[Stretch]:
    """The stretches in order; one of the whole batch where parts do not pay."""
    bindings = batched.graph.bindings[: -1 if isinstance(batched.graph.bindings[-1][1], relax.Tuple) else None]
    if any(_rows_per_sample(value, batched) > 1 for _, value in bindings):
        return [Stretch(0, len(bindings), batched.batch)]
    apart = apart_from_batch(batched)
    works = [_work(var, value, batched, var in apart) for var, value in bindings]
    crossing = crossings(batched, len(bindings))
    best = [0.0] + [inf] * len(works)
    choice: dict[int, Stretch] = {}
    sizes = [m for m in range(1, batched.batch + 1) if batched.batch % m == 0]
    for first in range(len(works)):
        if best[first] == inf:
            continue
        for stretch, seconds in _from(first, works, crossing, sizes, batched.batch, l2):
            if best[first] + seconds < best[stretch.last]:
                best[stretch.last], choice[stretch.last] = best[first] + seconds, stretch
    stretches: list[Stretch] = []
    at = len(works)
    while at:
        stretches.append(choice[at])
        at = choice[at].first
    return _merged(stretches[::-1], batched.batch)


def crossings(batched: BatchGraph, count: int) -> list[float | None]:
    """Per place between bindings: bytes of one sample that cross it; None where the network may not be cut: a tensor
    there is a tuple, or its samples are not one piece each, or it never comes into being: a view of another one, or
    inside what one kernel does."""
    last, (_, inner) = {}, find_fusions(batched.graph.function)
    for position, (_, value) in enumerate(batched.graph.bindings):
        for var in variables(value):
            last[var] = position
    total = np.zeros(count + 1)
    for position, (var, _) in enumerate(batched.graph.bindings[:count]):
        inside = slice(position + 1, min(last.get(var, position), count - 1) + 1)
        if isinstance(var.ty, relax.TupleType) or var in inner or _is_view(batched.graph.definition(var)):
            total[inside] = inf
            continue
        axis = batched.axes[var]
        total[inside] += inf if axis is not None and not axis.contiguous(shape_of(var)) else _bytes(var) / batched.batch
    return [None if size == inf else size for size in total]


def apart_from_batch(batched: BatchGraph) -> set[relax.Var]:
    """The variables that may be computed for some samples at a time. A result may if a sample is one piece of it: a
    chunk hands that piece to the caller."""
    results = set(variables(batched.graph.definition(batched.graph.result)))
    scattered = {
        var for var in results if batched.axes.get(var) is not None and not batched.axes[var].contiguous(shape_of(var))
    }
    return {var for var, _ in batched.graph.bindings} - scattered - set(batched.mixing)


def _from(
    first: int, works: list[_Work], crossing: list[float | None], sizes: list[int], batch: int, l2: int
) -> Iterator[tuple[Stretch, float]]:
    """(stretch, seconds) of every stretch that begins at binding `first`."""
    apart, weights, calls, found_cut = True, 0, 0, False
    # Keys are numbers of samples; values are the bytes of activations from beyond L2, and the most that one layer
    # touches.
    sums = {m: [0.0, 0.0] for m in sizes}
    for last in range(first + 1, len(works) + 1):
        if last > first + _LONGEST and found_cut:
            return
        work = works[last - 1]
        apart, weights, calls = apart and work.apart, weights + work.weights, calls + (not work.free)
        for m, sum_ in sums.items():
            touched = m * work.moved + work.weights
            sum_[0] += batch * work.moved * _spilled(touched, _ROOM * l2)
            sum_[1] = max(sum_[1], m * work.moved)
        if last < len(works) and crossing[last] is None:
            continue
        found_cut = True
        handed = batch * ((crossing[first] or 0) if first else 0)
        for m in sizes if apart else sizes[-1:]:
            chunks = batch // m
            again = (chunks - 1) * weights * _spilled(weights + sums[m][1], l2)
            seconds = (sums[m][0] + again + 2 * handed) / _BEYOND + calls * (
                chunks * _CALL + (_FORK if chunks == 1 else 0)
            )
            yield Stretch(first, last, m), seconds + _CUT
        if not apart:
            return  # Neighbours of the whole batch become one anyway.


def _spilled(size: float, room: float) -> float:
    """Which part of `size` bytes does not stay in `room`, from 0 to 1: it is gone at twice the room."""
    return min(max(size / room - 1, 0.0), 1.0)


def _work(var: relax.Var, value: relax.Expr, batched: BatchGraph, apart: bool) -> _Work:
    tensors = tensors_of(value) if isinstance(value, relax.Call) else []
    free = _is_view(value)
    weights = sum(_bytes(tensor) for tensor in tensors if isinstance(tensor, tvm.ir.GenericConst))
    read = sum(_bytes(tensor) for tensor in tensors if isinstance(tensor, relax.Var))
    written = sum(_bytes_of(ty) for ty in (var.ty.fields if isinstance(var.ty, relax.TupleType) else [var.ty]))
    return _Work(weights, 0.0 if free else (read + written) / batched.batch, apart, free)


def _rows_per_sample(value: relax.Expr, batched: BatchGraph) -> int:
    """Of a linear layer: a transformer's tokens of all samples are one matrix, whose weights are read once, so that
    parts are slower than the whole (docs/architecture.md)."""
    return prod(shape_of(value)[:-1]) // batched.batch if ops.is_op(value, "octet.dense") else 0


def _is_view(value: relax.Expr | None) -> bool:
    return not isinstance(value, relax.Call) or value.op.name in (*ALIASES, "relax.permute_dims")


def _bytes(tensor: relax.Expr) -> int:
    return _bytes_of(tensor.ty)


def _bytes_of(ty: relax.TensorType) -> int:
    return (
        int(np.prod([int(extent) for extent in ty.shape.values], dtype=np.int64))
        * np.dtype(str(ty.dtype).replace("bfloat16", "uint16")).itemsize
    )


def _merged(stretches: list[Stretch], whole: int) -> list[Stretch]:
    """Neighbours of the whole batch are one."""
    out: list[Stretch] = []
    for stretch in stretches:
        if out and out[-1].samples == stretch.samples == whole:
            out[-1] = Stretch(out[-1].first, stretch.last, whole)
        else:
            out.append(stretch)
    return out
