"""Ranges of real places alone: while samples are run for calibration, padded places hold the sample's real ones again.

    mask 1 1 1 0 0, ids a b c p p     ->     mask 1 1 1 0 0, ids a b c a b

Where the graph has a padding mask (proved: lower/batch/masked.py) no other place sees what a padded one holds, so real
places have the values that they had. In padded places tensors then have values of real ones, instead of those that only
padding has and that are in no answer."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from tvm import IRModule

from ...targets.variant import TensorSpec
from ..lower.batch.masked import padding_mask

Feed = Mapping[str, np.ndarray]


def real_places(
    mod: IRModule, inputs: Sequence[TensorSpec]
) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    """The feed of a run -> that which it is calibrated with. mod: canonical fp32. inputs: its TensorSpecs."""
    first = {spec.name: spec.shape for spec in inputs if spec.batch_axis == 0}
    found = padding_mask(mod)
    if found is None or found[0] not in first:
        return lambda feed: feed
    mask = found[0]
    others = [name for name, shape in first.items() if name != mask and len(shape) >= 2 and shape[1] == first[mask][1]]

    def filled(feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        feed = dict(feed)
        taken = np.stack([_taken(row) for row in np.asarray(feed[mask])])
        for name in others:
            value = np.asarray(feed[name])
            feed[name] = value[np.arange(len(value))[:, None], taken]
        return feed

    return filled


def _taken(row: np.ndarray) -> np.ndarray:
    """Where each place takes its value from: a real one from itself, a padded one from the real ones in turn; all from
    themselves where none is real."""
    taken, real = np.arange(len(row)), np.flatnonzero(row)
    padded = np.flatnonzero(row == 0)
    if real.size:
        taken[padded] = real[np.arange(padded.size) % real.size]
    return taken
