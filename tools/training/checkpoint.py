"""A training run on disk: what is needed to go on after the last whole epoch. An .npz without pickle, replaced as a
whole."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np

from ...targets.errors import DataError, OctetWarning
from ...targets.npz import npz_bytes, read_npz
from ...targets.schema import Digest, checked, json_text, parsed
from ...targets.writing import write_atomically

_KEY = "octet_finetune"
_MOST_EPOCHS = 100_000
_LARGEST_HEADER = 64 << 20  # A longer header, in bytes, is not read.


class Epoch(msgspec.Struct):
    """What one epoch of a training came to.

    loss: mean over the mini-batches, 0 for the network as calibrated. score: of the samples that are held out, as
    the run judges them (less is better)."""

    loss: float
    score: Annotated[list[float], msgspec.Meta(min_length=1, max_length=2)]


class _Header(msgspec.Struct):
    identity: Digest
    best: Annotated[int, msgspec.Meta(ge=0, le=_MOST_EPOCHS)]
    epochs: Annotated[list[Epoch], msgspec.Meta(min_length=1, max_length=_MOST_EPOCHS + 1)]


@dataclass
class TrainingState:
    """What a training needs to go on where it was interrupted.

    epochs: from the network as calibrated on. best: the index of the best one. now, kept: {parameter: array} of the
    last and of the best epoch; moments: {parameter: (first, second)} of the optimiser."""

    now: Mapping[str, np.ndarray]
    kept: Mapping[str, np.ndarray]
    moments: Mapping[str, tuple[np.ndarray, np.ndarray]]
    epochs: list[Epoch] = field(default_factory=list)
    best: int = 0


def save(path, identity: str, state: TrainingState) -> None:
    """Writes the state, whole or not at all. identity: of what is trained, which a later run compares."""
    header = json_text(
        {"identity": identity, "best": state.best, "epochs": [msgspec.to_builtins(epoch) for epoch in state.epochs]}
    )
    arrays = {_KEY: np.array(header)} | {
        f"{kind}.{name}": array for kind, values in _parts(state).items() for name, array in values.items()
    }
    write_atomically(Path(path), npz_bytes(arrays, compress=False))


def load(path, identity: str, shapes: Mapping[str, tuple]) -> TrainingState | None:
    """The state of the run `identity`; None where there is none, or it is of another run. shapes: of the parameters.
    Raises DataError for a file that is damaged."""
    if not Path(path).exists():
        return None
    names = [f"{kind}.{name}" for kind in ("now", "kept", "first", "second") for name in shapes]
    try:
        header = checked(parsed(str(read_npz(path, _LARGEST_HEADER, (_KEY,))[_KEY])), _Header)
        if header.identity != identity:
            warnings.warn(
                f"{path}: is of a training with other samples or options; this one begins anew",
                OctetWarning,
                stacklevel=2,
            )
            return None
        stored = read_npz(path, 16 * sum(int(np.prod(shape)) for shape in shapes.values()) + _LARGEST_HEADER, names)
        for name in names:
            if (
                stored[name].dtype != np.float32
                or stored[name].shape != shapes[name.partition(".")[2]]
                or not np.isfinite(stored[name]).all()
            ):
                raise ValueError(f"{name} is not of its parameter")
        if header.best >= len(header.epochs):
            raise ValueError("best: is no epoch")
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{path}: is no state of a fine-tuning that can go on ({error}); remove it to begin again"
        ) from None
    parts = {kind: {name: stored[f"{kind}.{name}"] for name in shapes} for kind in ("now", "kept", "first", "second")}
    moments = {name: (parts["first"][name], parts["second"][name]) for name in shapes}
    return TrainingState(parts["now"], parts["kept"], moments, header.epochs, header.best)


def _parts(state):
    first, second = ({name: pair[i] for name, pair in state.moments.items()} for i in (0, 1))
    return {"now": state.now, "kept": state.kept, "first": first, "second": second}
