"""Streams samples through the fp32 network and gathers the statistics of every observed tensor: one pass, constant
memory."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import inf, prod
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from tvm import IRModule, relax

from octet.targets.batches import batch_of, feed_of
from octet.targets.errors import DataError
from octet.targets.variant import TensorSpec

from ..operators.observing import SUMMARY_HEADER
from ..ops import attrs_of, call, is_op, shape_of
from ..rewriting.loops import loops_of
from .accumulate import Accumulator, NonFinite
from .replace import replace_observers
from .statistics import Statistics

if TYPE_CHECKING:
    from .replace import Replacer

SAMPLES = 1024  # A histogram counts so many values per tensor and sample; the range is always of all values.


class Executor(Protocol):
    """Runs a compiled module: {input name: array} -> the results of `main`, in order, as NumPy arrays."""

    def __call__(self, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """The results of `main`, one array each, for inputs of the shapes and dtypes that it was compiled for."""


Samples = (
    Mapping[str, np.ndarray] | Iterable[Mapping[str, np.ndarray]] | Callable[[], Iterable[Mapping[str, np.ndarray]]]
)
ExecutorFactory = Callable[[IRModule], Executor]


@dataclass(frozen=True)
class Edge:
    """One `octet.observe`: its attributes (see annotate/quantization_spec.py)."""

    edge: int
    spec: str
    group: int
    scheme: str
    source: bool
    made: bool
    tensor: str
    low: float = 0.0
    high: float = 0.0
    axis: int = -1
    floor: float = -inf

    @property
    def measured(self) -> bool:
        """Whether the tensor's values must be seen in a calibration run."""
        return self.source and self.spec in ("own", "shared")


def edges_of(mod: IRModule) -> list[Edge]:
    """All observed tensors of an annotated module, in program order."""
    return [edge_of(value) for value in _values(mod) if is_op(value, "octet.observe")]


def _values(mod: IRModule) -> list[relax.Expr]:
    return [binding.value for block in mod["main"].body.blocks for binding in block.bindings]


def edge_of(observe: relax.Expr) -> Edge:
    """What an octet.observe observes, from its attributes."""
    attrs = attrs_of(observe)
    return Edge(**attrs | {"source": bool(attrs["source"]), "made": bool(attrs["made"])})


def measurable(mod: IRModule, summaries: bool) -> tuple[IRModule, list[Edge]]:
    """(the fp32 network that returns the tensors to be measured, or octet.statistics of them; those tensors). Of a
    tensor in a loop those of all steps.
    What only led to the old results is dropped."""
    found, loops = [], loops_of(mod)

    def keep(walk: "Replacer", observe: relax.Expr, x: relax.Expr) -> relax.Expr:
        edge = edge_of(observe)
        if edge.measured:
            found.append((edge, walk, observe.args[0], x))
        return x

    def measured(edge: Edge, walk: "Replacer", old: relax.Expr, x: relax.Expr) -> relax.Expr:
        steps = loops.stacked(old, walk.new)
        x = x if steps is None else walk.derive(steps, f"{edge.tensor}.steps")
        return (
            walk.derive(call("octet.statistics", [x], samples=_samples(mod, x)), f"{edge.tensor}.statistics")
            if summaries
            else x
        )

    return replace_observers(mod, keep, outputs=lambda: [measured(*each) for each in found]), [
        edge for edge, *_ in found
    ]


def _elements(x: relax.Expr) -> int:
    return prod(shape_of(x))


def _samples(mod: IRModule, x: relax.Expr) -> int:
    """How many values of a tensor go into its histogram in one run."""
    return min(_elements(x), SAMPLES * _batch(mod))


def _batch(mod: IRModule) -> int:
    return batch_of(signature_of(mod))


def collect(
    mod: IRModule,
    samples: Samples,
    executor_factory: ExecutorFactory,
    *,
    summaries: bool = True,
    progress: Callable[[int, int | None], None] | None = None,
    prepared: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]] = lambda feed: feed,
) -> dict[int, Statistics]:
    """{edge number: statistics} of the measured tensors of an annotated module.

    samples: arrays with the samples on the first axis (`labels` are ignored; a StoredArray is read as it goes), an
    iterable of such dictionaries of any length (streamed), or a function that gives such an iterable.
    summaries: whether the executor can run octet.statistics, as our own compiler's can: the range is then exact and the
    histogram counts SAMPLES values of every tensor and sample; otherwise the tensors themselves come out and every
    value counts, in NumPy.
    progress(samples done, samples in all or None). prepared: what is run for the inputs of a run. Raises DataError if a
    tensor of the network becomes NaN or infinite."""
    collecting, edges = measurable(mod, summaries)
    if not edges:
        return {}  # Nothing becomes int8.
    run = executor_factory(collecting)
    gather = _Summaries(edges, mod, collecting, run) if summaries else _Arrays(edges)
    done, batch = 0, _batch(mod)
    try:
        for feed, fresh, total in _batches(samples, signature_of(mod)):
            gather.take(run, prepared(feed))
            done += fresh
            if progress is not None:
                progress(done, total)
        if not done:
            raise DataError("calibration: there are no samples: give at least one, some hundred are usual")
        return dict(zip((edge.edge for edge in edges), gather.finish(), strict=True))
    except NonFinite as error:
        first = error.run * batch
        which = f"sample {first}" if batch == 1 else f"samples {first} to {first + batch - 1}"
        raise DataError(
            f"calibration: tensor {edges[error.tensor].tensor!r} becomes NaN or infinite in fp32 in {which}: "
            "check the model and the samples' preprocessing"
        ) from None


class _Summaries(Accumulator):
    """What `octet.statistics` made; an executor with one array for all its results (libraries.PackedExecutor) writes it
    where it is wanted."""

    def __init__(self, edges: list[Edge], mod: IRModule, collecting: IRModule, run: Any) -> None:
        elements = {edge_of(v).edge: _elements(v.args[0]) for v in _values(mod) if is_op(v, "octet.observe")}
        widths = [int(field.shape.values[0]) - SUMMARY_HEADER for field in collecting["main"].ret_ty.fields]
        self._packed = hasattr(run, "into")
        super().__init__(
            [elements[edge.edge] for edge in edges], widths, *((run.starts, run.size) if self._packed else ())
        )

    def take(self, run: Executor, feed: dict[str, np.ndarray]) -> None:
        if self._packed:
            self.add_from(run, feed)
        else:
            self.add(run(feed))


class _Arrays:
    """The same interface for executors that hand out the tensors."""

    def __init__(self, edges: list[Edge]) -> None:
        self.statistics = [Statistics() for _ in edges]
        self._runs = 0

    def take(self, run: Executor, feed: dict[str, np.ndarray]) -> None:
        for tensor, (statistics, array) in enumerate(zip(self.statistics, run(feed), strict=True)):
            statistics.update(array)
            if statistics.nonfinite:
                raise NonFinite(tensor, self._runs)
        self._runs += 1

    def finish(self) -> list[Statistics]:
        return self.statistics


def _batches(samples: Samples, inputs: list[TensorSpec]) -> Iterator[tuple[dict[str, np.ndarray], int, int | None]]:
    """(one run's inputs, samples that are new in it, samples in all or None). The last batch is filled up with its own
    samples, so that shards of whole batches see exactly what the whole sees."""
    batch = batch_of(inputs)
    if isinstance(samples, Mapping):
        count = min((len(samples[spec.name]) for spec in inputs), default=0)
        for start in range(0, count, batch):
            fresh = min(batch, count - start)
            rows = slice(start, start + batch) if fresh == batch else start + np.arange(batch) % fresh
            yield feed_of(inputs, samples, rows), fresh, count
        return
    left = None
    for chunk in samples() if callable(samples) else samples:
        arrays = {spec.name: np.asarray(chunk[spec.name]) for spec in inputs}
        if left is not None:
            arrays = {name: np.concatenate([left[name], array]) for name, array in arrays.items()}
        count = min((len(array) for array in arrays.values()), default=0)
        whole = count // batch * batch
        for start in range(0, whole, batch):
            yield feed_of(inputs, arrays, slice(start, start + batch)), batch, None
        left = {name: array[whole:] for name, array in arrays.items()} if whole < count else None
    if left is not None:
        yield from ((feed, fresh, None) for feed, fresh, _ in _batches(left, inputs))


def signature_of(mod: IRModule) -> list[TensorSpec]:
    """The signature of `main`; where the batch is not axis 0, the front end left a word in the module's attributes."""
    params, axes = (
        mod["main"].params,
        mod.attrs["octet.batch_axes"] if mod.attrs and "octet.batch_axes" in mod.attrs else None,
    )
    axes = [0] * len(params) if axes is None else [None if axis < 0 else int(axis) for axis in axes]
    return [TensorSpec(p.name, shape_of(p), str(p.ty.dtype), axis) for p, axis in zip(params, axes)]
