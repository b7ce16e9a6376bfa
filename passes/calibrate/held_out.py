"""Which samples ranges come from, and which are held out to judge what came of them.

Whoever measures int8 on the samples that its ranges were taken from measures too well: those are the samples of which
nothing is clipped. Whole runs are held out, as what follows each other in a run may belong together (the steps of a
sequence)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from octet.targets.batches import batch_of
from octet.targets.stored_array import Array, select

if TYPE_CHECKING:
    from ..frontend.model import Model

MOST = 128  # At most so many runs are held out.
_FEWEST, _FEWEST_OF_SEVERAL = 8, 4  # With fewer runs (of one sample; of several) none is held out.
_DIVIDED = 16  # From so many held-out samples on they are divided.


def held_out(count: int, batch: int = 1) -> np.ndarray:
    """bool [count]: every fourth run of `batch` samples, at most MOST of them; none where there are too few to spare
    any."""
    runs = -(-count // batch)
    if runs < (_FEWEST if batch == 1 else _FEWEST_OF_SEVERAL):
        return np.zeros(count, bool)
    stride = max(4, -(-runs // MOST))
    return (np.arange(count) // batch) % stride == stride - 1


def hold_out(samples: Mapping[str, Array], batch: int = 1) -> tuple[dict[str, Array], dict[str, Array]]:
    """(to fit, held out), which are the same where there are too few to hold any out. Arrays in a file stay there."""
    held = held_out(len(next(iter(samples.values()))), batch)
    if not held.any():
        return dict(samples), dict(samples)
    return {name: select(array, ~held) for name, array in samples.items()}, {
        name: select(array, held) for name, array in samples.items()
    }


def first_half(held: Mapping[str, Array], batch: int = 1) -> dict[str, Array]:
    """The first half of the held-out samples, in whole runs of `batch`; all of them where they are too few to be
    divided."""
    count = len(next(iter(held.values())))
    half = -(-count // batch // 2) * batch
    return dict(held) if count < _DIVIDED or half >= count else {name: array[:half] for name, array in held.items()}


def spread(samples: Mapping[str, Array], count: int, batch: int = 1) -> dict[str, Array]:
    """About `count` samples in whole runs of `batch`, evenly spread over all. Arrays in a file stay there."""
    runs = -(-len(next(iter(samples.values()))) // batch)
    wanted = np.unique(np.linspace(0, runs - 1, min(runs, max(1, -(-count // batch)))).astype(int))
    return {name: select(array, np.isin(np.arange(len(array)) // batch, wanted)) for name, array in samples.items()}


def for_ranges(samples: Mapping[str, Array], model: "Model") -> dict[str, Array]:
    """The samples that ranges come from, those that are not held out. model: whatever has `inputs`."""
    return hold_out(samples, batch_of(model.inputs))[0]


def fitted(samples: Mapping[str, Array], model: "Model") -> int:
    """How many samples ranges come from."""
    return len(next(iter(for_ranges(samples, model).values())))
