"""Samples as the batches that a session runs, and the rows of its outputs as results of samples again."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .variant import TensorSpec


Arrays = Mapping[str, np.ndarray]  # The keys name inputs or outputs.
Results = dict[str, np.ndarray]  # The keys name outputs.


def batch_of(inputs: "Sequence[TensorSpec]") -> int:
    """Samples per run: the extent of the inputs (TensorSpecs) along their batch axes; 1 where they differ."""
    extents = {spec.shape[spec.batch_axis] if spec.shape and spec.batch_axis is not None else 1 for spec in inputs}
    return int(extents.pop()) if len(extents) == 1 else 1


def takes_whole(spec: "TensorSpec", batch: int) -> bool:
    """Whether a sample is a whole array of this input, with all its axes."""
    return not spec.shape or spec.batch_axis is None or spec.shape[spec.batch_axis] != batch


def sample_shape(spec: "TensorSpec", batch: int) -> tuple[int, ...]:
    """The shape of one sample of an input or output; runs take and give `batch` of them."""
    axis = spec.batch_axis
    return spec.shape if axis is None or takes_whole(spec, batch) else spec.shape[:axis] + spec.shape[axis + 1 :]


def feed_of(
    inputs: "Sequence[TensorSpec]", arrays: Mapping[str, Any], rows: np.ndarray | slice
) -> dict[str, np.ndarray]:
    """One run's inputs: the samples `rows` (an index array or a slice, as many as the batch) of every array, in the
    order of `inputs`."""
    return {spec.name: _joined(spec, arrays[spec.name][rows]) for spec in inputs}


class Feeds(Sequence[dict[str, np.ndarray]]):
    """Runs of `batch` samples each over the samples, or over the first `most`; the last run is filled up with the last
    sample. Each is read when it is asked for."""

    def __init__(
        self, inputs: "Sequence[TensorSpec]", arrays: Mapping[str, Any], batch: int, most: int | None = None
    ) -> None:
        self._inputs, self._arrays, self._batch = inputs, arrays, batch
        self._count = len(next(iter(arrays.values())))
        self._runs = -(-(self._count if most is None else min(self._count, most)) // batch)

    def __len__(self) -> int:
        return self._runs

    def __getitem__(self, number: Any) -> Any:
        if not 0 <= number < self._runs:
            raise IndexError(number)
        start = number * self._batch
        return feed_of(self._inputs, self._arrays, np.minimum(np.arange(start, start + self._batch), self._count - 1))


def _joined(spec: "TensorSpec", samples: np.ndarray) -> np.ndarray:
    """The array that a run takes, of samples on the first axis."""
    if samples.ndim > len(spec.shape):
        return np.asarray(samples[0])  # Each sample is a whole array, and a run takes one.
    return np.ascontiguousarray(np.moveaxis(samples, 0, spec.batch_axis)) if spec.batch_axis else samples


def samples_of(spec: "TensorSpec", value: np.ndarray, batch: int, count: int) -> np.ndarray:
    """The first `count` samples of one run's output, on the first axis. An output that is not one piece per sample
    stays as it is."""
    if spec.batch_axis is not None and not takes_whole(spec, batch):
        return np.moveaxis(value, spec.batch_axis, 0)[:count]
    return value[None] if batch == 1 or not value.ndim else value


def meant(outputs: "tuple[TensorSpec, ...]", results: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A run's results without what lies behind the elements that count (TensorSpec.counted)."""
    for spec in outputs:
        if spec.counted is not None:
            axis, count = spec.counted
            results = results | {
                spec.name: results[spec.name][(slice(None),) * axis + (slice(int(results[count][0])),)]
            }
    return results


def joined_outputs(spec: "TensorSpec", parts: list[np.ndarray]) -> np.ndarray:
    """`samples_of` of several runs. Where runs give different numbers of results (TensorSpec.counted), the shorter ones
    get -1 (NaN, or 0 of a type without) behind them."""
    if spec.counted is not None:
        axis, most = (
            spec.counted[0] + parts[0].ndim - len(spec.shape),
            max(part.shape[spec.counted[0] - len(spec.shape)] for part in parts),
        )
        fill = np.array({"f": np.nan, "i": -1}.get(parts[0].dtype.kind, 0), parts[0].dtype)
        widths = [[(0, most - part.shape[axis] if i == axis else 0) for i in range(part.ndim)] for part in parts]
        parts = [np.pad(part, width, constant_values=fill) for part, width in zip(parts, widths)]
    return np.concatenate(parts)


def takes_samples(spec: "TensorSpec", batch: int, shape: tuple[int, ...]) -> bool:
    """Whether an array of that shape, samples on the first axis, holds samples of an input; a batch of 1 may be written
    out."""
    return bool(shape) and (shape[1:] == tuple(sample_shape(spec, batch)) or batch == 1 and shape[1:] == spec.shape)


def run_samples(
    session: Any,
    arrays: Mapping[str, Any],
    progress: Callable[[int], None] | None = None,
    only: str | None = None,
) -> dict[str, np.ndarray]:
    """Runs N samples (the first axis of every array; a StoredArray is read as it goes) through a Session, or what runs
    as one, of batch B and returns the first N rows of every output. The last batch is filled up by repeating its last
    sample. progress: called with the number of samples done. only: the one output to keep."""
    batch = session.batch
    total = len(next(iter(arrays.values())))
    specs = {spec.name: spec for spec in session.outputs}
    kept: dict[str, list[np.ndarray]] = {spec.name: [] for spec in session.outputs if only in (None, spec.name)}
    for start in range(0, total, batch):
        count = min(batch, total - start)
        rows = slice(start, start + batch) if count == batch else np.minimum(np.arange(start, start + batch), total - 1)
        outputs = session.run(feed_of(session.inputs, arrays, rows))
        for name, parts in kept.items():
            parts.append(samples_of(specs[name], outputs[name], batch, count))
        if progress is not None:
            progress(count)
    return {name: joined_outputs(specs[name], parts) for name, parts in kept.items()}
