"""What flows through a network: the largest magnitude of every channel, and rows of the layers' inputs."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from octet.targets.batches import batch_of, feed_of

from ..calibrate.real_places import real_places
from .configuration import FLOAT
from .libraries import Libraries
from .simulator import Simulator

if TYPE_CHECKING:
    from ...targets.stored_array import Array
    from ..frontend.model import Model


def channel_maxima(
    model: "Model",
    tensors: Iterable[str],
    arrays: "Mapping[str, Array]",
    *,
    threads: int | None = None,
    libraries: Libraries | None = None,
) -> dict[str, np.ndarray]:
    """{tensor: float32 [channels]}: largest magnitude per channel in fp32; the channel is axis 1 of rank 4, else the
    last one."""
    tensors = tuple(dict.fromkeys(tensors))
    if not tensors:
        return {}
    simulator = Simulator(model, (), {}, taps=tensors, threads=threads, libraries=libraries)
    simulator.configure(FLOAT)
    largest: dict[str, np.ndarray] = {}
    for feed in batches(model, arrays):
        for name, value in simulator.run_taps(feed).items():
            axis = 1 if value.ndim == 4 else value.ndim - 1
            found = np.abs(value).max(axis=tuple(i for i in range(value.ndim) if i != axis))
            largest[name] = np.maximum(largest[name], found) if name in largest else found
    return largest


def batches(model: "Model", arrays: "Mapping[str, Array]") -> Iterator[dict[str, np.ndarray]]:
    """One run's inputs after the other, without padding (calibrate/real_places.py); an incomplete last batch is left
    out unless it is the only one."""
    size, count, prepared = (
        batch_of(model.inputs),
        len(next(iter(arrays.values()))),
        real_places(model.module, model.inputs),
    )
    for start in range(0, max(count - size, 0) + 1, size):
        rows = np.arange(start, start + size) % count
        yield {
            name: np.ascontiguousarray(array) for name, array in prepared(feed_of(model.inputs, arrays, rows)).items()
        }
