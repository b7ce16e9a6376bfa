"""Streams samples through the fp32 network and gathers the statistics of every observed tensor: one pass, constant memory."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from tvm import IRModule, relax

from octet.targets.errors import DataError

from ..ops import attrs_of, is_op
from .replace import replace_observers
from .statistics import Statistics


class Executor(Protocol):
    """Runs a compiled module: {input name: array} -> the results of `main`, in order, as NumPy arrays."""

    def __call__(self, inputs: dict[str, np.ndarray]) -> list[np.ndarray]: ...


ExecutorFactory = Callable[[IRModule], Executor]


@dataclass(frozen=True)
class Edge:
    """One `octet.observe`: its attributes (see annotate/spec.py)."""

    edge: int
    spec: str
    group: int
    scheme: str
    source: bool
    tensor: str
    low: float = 0.0
    high: float = 0.0
    axis: int = -1

    @property
    def measured(self) -> bool:
        """Whether its values must be seen."""
        return self.source and self.spec in ("own", "shared")


def edges_of(mod: IRModule) -> list[Edge]:
    """All observed tensors of an annotated module, in program order."""
    values = [b.value for block in mod["main"].body.blocks for b in block.bindings]
    return [edge_of(v) for v in values if is_op(v, "octet.observe")]


def edge_of(observe) -> Edge:
    attrs = attrs_of(observe)
    return Edge(**attrs | {"source": bool(attrs["source"])})


def measurable(mod: IRModule) -> tuple[IRModule, list[Edge]]:
    """(the fp32 network that returns the tensors to be measured, those tensors). What only led to the old results is dropped."""
    found = []

    def keep(builder, observe, x):
        edge = edge_of(observe)
        if edge.measured:
            found.append((edge, x))
        return x

    collecting = replace_observers(mod, keep, outputs=lambda _: [x for _, x in found])
    return relax.transform.DeadCodeElimination()(collecting), [edge for edge, _ in found]


def collect(mod: IRModule, samples: Mapping[str, np.ndarray] | Iterable[Mapping[str, np.ndarray]], executor_factory: ExecutorFactory,
            measure: Callable[[Statistics, np.ndarray, int], None] | None = None,
            progress: Callable[[int, int | None], None] | None = None) -> dict[int, Statistics]:  # fmt: skip
    """{edge number: statistics} of the measured tensors of an annotated module.

    samples: arrays with the samples on the first axis (`labels` are ignored), or an iterable of such dictionaries (streamed).
    measure(statistics, array, index of the run): how an array is taken in; the default is `Statistics.update`, all values, in NumPy.
    progress(samples done, samples in all or None). Raises DataError if a tensor of the network becomes NaN or infinite."""
    collecting, edges = measurable(mod)
    run = executor_factory(collecting)
    measure = measure if measure is not None else lambda statistics, array, _: statistics.update(array)
    statistics = {edge.edge: Statistics() for edge in edges}
    params = mod["main"].params
    done = 0
    for index, (feed, fresh, total) in enumerate(_batches(samples, params)):
        for edge, array in zip(edges, run(feed), strict=True):
            measure(statistics[edge.edge], array, index)
            if statistics[edge.edge].nonfinite:
                raise DataError(f"calibration: tensor {edge.tensor!r} becomes NaN or infinite in fp32, in samples {done} to {done + fresh - 1}: "
                                "check the model and the samples' preprocessing")  # fmt: skip
        done += fresh
        if progress is not None:
            progress(done, total)
    if not done:
        raise DataError("calibration: there are no samples: give at least one, some hundred are usual")
    return statistics


def _batches(samples, params):
    """(one run's inputs, samples that are new in it, samples in all or None). The last batch is filled up with earlier samples."""
    streamed = not isinstance(samples, Mapping)
    for chunk in samples if streamed else [samples]:
        arrays = {p.name: np.asarray(chunk[p.name]) for p in params}
        batch = {p.name: int(p.ty.shape.values[0]) for p in params}
        count = min((len(a) for a in arrays.values()), default=0)
        step = next(iter(batch.values()))
        for start in range(0, count, step):
            taken = np.arange(start, start + step) % count
            feed = {name: array[taken] if taken[-1] < taken[0] or start + step > count else array[start : start + step]
                    for name, array in arrays.items()}  # fmt: skip
            yield feed, min(step, count - start), None if streamed else count
