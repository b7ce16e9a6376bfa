"""One network for inputs of several shapes: every run goes to the smallest of them that takes its arrays.

Arrays that have none of the shapes are padded to the smallest that they fit, where the package says with what (`pads`),
and the results are cut back to their extents."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ..batches import Arrays, Results
from ..errors import DataError, OctetError
from ..runtime import Session
from ..variant import Step, TensorSpec
from .dimensions import dimensions, varying_shapes
from .padded import PaddedSession

if TYPE_CHECKING:
    from .dimensions import Dimension


_MOST = 1024  # The session of a shape is remembered for this many shapes.


class ShapedSession:
    """Sessions of one target, one for each shape, the first of which it passes for where nothing is run: `inputs`,
    `outputs` and `steps` are that one's.

    shapes: the sessions. pads: {input: value to pad it with}; without a value for an input, its arrays must have the
    extents of a shape. Thread-safe; runs of different shapes go side by side. A context manager, which closes it."""

    def __init__(self, shapes: tuple[Session, ...], pads: Mapping[str, float]) -> None:
        first = shapes[0]
        self.shapes, self.pads = shapes, dict(pads)
        self.inputs: tuple[TensorSpec, ...] = first.inputs
        self.outputs: tuple[TensorSpec, ...] = first.outputs
        self.steps: tuple[Step, ...] = first.steps
        self.target, self.threads, self.weights, self.why = first.target, first.threads, first.weights, ""
        self._names = frozenset(spec.name for spec in self.inputs)
        self._exact = {_key(session.inputs): session for session in shapes}
        self._found: dict[tuple[tuple[int, ...], ...], Session | PaddedSession] = dict(self._exact)
        self._dimensions = dimensions([session.inputs for session in shapes], [session.outputs for session in shapes])

    @property
    def batch(self) -> int:
        """How many samples one run takes."""
        return self.shapes[0].batch

    @property
    def streams(self) -> int:
        """How many runs of one shape there may be at one time."""
        return self.shapes[0].streams

    def __enter__(self) -> "ShapedSession":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the sessions of all shapes, as `Session.close` does one."""
        self._found, self._exact = {}, {}
        for session in self.shapes:
            session.close()

    def run(self, inputs: Arrays, **options: bool) -> Results:
        """Runs as `Session.run` does, on the session of the shape that the arrays have. Raises DataError for arrays
        that no shape takes."""
        return self._for(inputs).run(inputs, **options)

    def run_many(self, inputs: Arrays, streams: int | None = None) -> Results:
        """Runs as `Session.run_many` does, of samples of one shape."""
        found = for_samples(self, {name: np.shape(array) for name, array in inputs.items()})
        # The first shape's session says what is wrong.
        return (self.shapes[0] if found is self else found).run_many(inputs, streams)

    async def run_async(self, inputs: Arrays, **options: bool) -> Results:
        """Runs as `Session.run_async` does, on the session of the shape that the arrays have."""
        return await self._for(inputs).run_async(inputs, **options)

    def run_into(self, inputs: Arrays, results: Sequence[np.ndarray]) -> None:
        """Runs as `Session.run_into` does, for arrays that have the extents of a shape."""
        self._for(inputs).run_into(inputs, results)

    def profile(self, inputs: Arrays, repeat: int = 20) -> list[tuple[Step, float]]:
        """The seconds of every kernel, as `Session.profile` measures them, of the shape that runs these inputs."""
        return self._for(inputs).profile(inputs, repeat)

    def at(self, shapes: Mapping[str, tuple[int, ...]]) -> "Session | PaddedSession":
        """What runs inputs of these shapes ({input: shape}): a session whose signature they are. Raises DataError in
        one line that lists what there is."""
        key = tuple(tuple(shapes[spec.name]) for spec in self.inputs)
        found: Session | PaddedSession | None = self._found.get(key)
        if found is None:
            found = self._padded(key)
            if len(self._found) >= _MOST:
                self._found = dict(self._exact)
            self._found[key] = found
        return found

    def _for(self, inputs: Arrays) -> Any:
        if not self._exact:
            raise OctetError("run: the session is closed; load the package again")
        if inputs.keys() != self._names:
            return self.shapes[0]  # The first session says what is wrong.
        return self.at({name: np.shape(array) for name, array in inputs.items()})

    def _padded(self, key: tuple[tuple[int, ...], ...]) -> PaddedSession:
        extents = self._extents(key)
        fitting = [
            i
            for i in range(len(self.shapes))
            if extents is not None and all(self._fits(dimension, n, i) for dimension, n in extents.items())
        ]
        if extents is None or not fitting:
            self._refuse(key, extents)
        return PaddedSession(
            self.shapes[min(fitting, key=lambda i: sum(spec.nbytes for spec in self.shapes[i].inputs))],
            extents,
            self.pads,
        )

    def _fits(self, dimension: "Dimension", n: int, shape: int) -> bool:
        """Whether arrays of an extent are of a shape, or become so by padding."""
        return (
            n == dimension.extents[shape]
            or n < dimension.extents[shape]
            and dimension.cuts
            and all(name in self.pads for name, _ in dimension.inputs)
        )

    def _extents(self, key: tuple[tuple[int, ...], ...]) -> "dict[Dimension, int] | None":
        """{dimension: extent} of arrays of these shapes; None where they are of no such network."""
        found = {}
        place = {spec.name: number for number, spec in enumerate(self.inputs)}
        for spec, shape in zip(self.inputs, key):
            varying = {axis for dimension in self._dimensions for name, axis in dimension.inputs if name == spec.name}
            if len(shape) != len(spec.shape) or any(
                n != spec.shape[axis] for axis, n in enumerate(shape) if axis not in varying
            ):
                return None
        for dimension in self._dimensions:
            ns = {key[place[name]][axis] for name, axis in dimension.inputs}
            if len(ns) != 1 or 0 in ns:
                return None
            found[dimension] = ns.pop()
        return found

    def _refuse(self, key: tuple[tuple[int, ...], ...], extents: "dict[Dimension, int] | None") -> NoReturn:
        given = ", ".join(f"{spec.name} {list(shape)}" for spec, shape in zip(self.inputs, key))
        listed = varying_shapes([session.inputs for session in self.shapes])
        fits = extents is not None and any(
            all(n <= dimension.extents[i] for dimension, n in extents.items()) for i in range(len(self.shapes))
        )
        remedy = (
            "pad them yourself where that is meant, or compile with --pad NAME=VALUE"
            if fits
            else "give arrays that fit, or compile with another --dim or --shape"
        )
        raise DataError(f"run: no shape of the package takes {given}; it has {listed}; {remedy}")


AnySession = Session | ShapedSession | PaddedSession


def for_samples(session: AnySession, arrays: Mapping[str, tuple[int, ...]]) -> AnySession:
    """What runs the samples of arrays of these shapes ({input: shape}, samples on the first axis); `session` itself
    where it has one shape, or where an input is not among them. Raises DataError where no shape takes them."""
    if not isinstance(session, ShapedSession) or any(
        spec.name not in arrays or not arrays[spec.name] for spec in session.inputs
    ):
        return session
    shapes = {}
    for spec in session.inputs:
        sample = tuple(arrays[spec.name][1:])
        if len(sample) < len(spec.shape) and spec.batch_axis is not None:
            sample = (*sample[: spec.batch_axis], session.batch, *sample[spec.batch_axis :])
        shapes[spec.name] = sample
    return session.at(shapes)


def _key(specs: Sequence[TensorSpec]) -> tuple[tuple[int, ...], ...]:
    return tuple(spec.shape for spec in specs)
