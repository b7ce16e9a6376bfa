"""A session for arrays smaller than a shape."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..batches import Arrays, Results, batch_of, run_samples
from ..native.given_inputs import wrong_dtype
from ..native.stream import aligned
from ..runtime import Session
from ..variant import Step
from .dimensions import Dimension

if TYPE_CHECKING:
    from ..variant import TensorSpec


class PaddedSession:
    """A session for arrays smaller than those of `session`: they are padded, and the results cut back. extents: what
    the arrays have."""

    def __init__(self, session: Session, extents: Mapping[Dimension, int], pads: Mapping[str, float]) -> None:
        self._session, self._pads = session, pads
        self.inputs = tuple(_cut(spec, extents, "inputs") for spec in session.inputs)
        self.outputs = tuple(_cut(spec, extents, "outputs") for spec in session.outputs)
        self.target, self.threads, self.steps, self.weights, self.why = (
            session.target,
            session.threads,
            session.steps,
            session.weights,
            session.why,
        )
        self._parts = {spec.name: tuple(map(slice, spec.shape)) for spec in (*self.inputs, *self.outputs)}

    @property
    def batch(self) -> int:
        """How many samples one run takes."""
        return batch_of(self.inputs)

    @property
    def streams(self) -> int:
        """How many runs there may be at one time."""
        return self._session.streams

    def run(self, inputs: Arrays, **options: bool) -> Any:
        """Runs as `Session.run` does, on arrays that are padded first; the results are cut back."""
        return self._meant(self._session.run(self._whole(inputs), **options))

    def run_many(self, inputs: Arrays, streams: int | None = None) -> Results:
        """Runs as `Session.run_many` does, one run after the other on one stream: each is padded and cut back."""
        return run_samples(self, inputs)

    async def run_async(self, inputs: Arrays, **options: bool) -> Any:
        """Runs as `Session.run_async` does, on arrays that are padded first; the results are cut back."""
        return self._meant(await self._session.run_async(self._whole(inputs), **options))

    def profile(self, inputs: Arrays, repeat: int = 20) -> list[tuple[Step, float]]:
        """The seconds of every kernel in the padded run, as `Session.profile` measures them."""
        return self._session.profile(self._whole(inputs), repeat)

    def _whole(self, inputs: Arrays) -> Results:
        found = dict(inputs)
        for spec, whole in zip(self.inputs, self._session.inputs):
            if spec.shape != whole.shape and spec.name in inputs:
                array = np.asarray(inputs[spec.name])
                if array.shape == spec.shape and array.dtype == np.dtype(spec.dtype):
                    found[spec.name] = aligned(whole.shape, whole.dtype)
                    found[spec.name].fill(self._pads[spec.name])
                    found[spec.name][self._parts[spec.name]] = array
                elif array.dtype != np.dtype(spec.dtype):
                    raise wrong_dtype(spec, array)
        return found

    def _meant(self, found: Any) -> Any:
        """The outputs, cut; beside the health of the answer where that was asked for."""
        return (self._cut(found[0]), *found[1:]) if isinstance(found, tuple) else self._cut(found)

    def _cut(self, results: Mapping[str, np.ndarray]) -> Results:
        return {spec.name: self._cut_back(spec, value) for spec, value in zip(self.outputs, results.values())}

    def _cut_back(self, spec: "TensorSpec", value: np.ndarray) -> np.ndarray:
        return value if value.shape == spec.shape else np.ascontiguousarray(value[self._parts[spec.name]])


def _cut(spec: "TensorSpec", extents: Mapping[Dimension, int], side: str) -> "TensorSpec":
    shape = list(spec.shape)
    for dimension, n in extents.items():
        for name, axis in getattr(dimension, side):
            if name == spec.name:
                shape[axis] = n
    return replace(spec, shape=tuple(shape))
