"""What the repairs learnt of a network, kept on disk beside a search's journal: a search that goes on after a kill does
not learn it again."""

import glob
import hashlib
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from octet.targets.errors import OctetWarning
from octet.targets.npz import npz_bytes, read_npz
from octet.targets.writing import write_atomically

from ..repair.weights import Layer
from .design import Design
from .learn import Learnt

_LARGEST = 4 << 30  # A file takes at most so many bytes.


class LearntFiles:
    """One file for every design that learns. path: of the journal, None keeps nothing. identity: of all that the
    learning depends on beside the design; files of another identity are not found, and go with the others."""

    def __init__(self, path: Path | str | None = None, identity: str = "") -> None:
        self.path, self.identity = Path(path) if path is not None else None, identity

    def get(
        self, design: Design, layers: Mapping[int, Layer], learn: Callable[[], dict[int, Learnt]]
    ) -> dict[int, Learnt]:
        """{layer: Learnt} of that design, from learn() where no file holds it. layers: those that learn; a file that
        says otherwise of them is no file of theirs."""
        if self.path is None:
            return learn()
        file = self.path.with_name(
            f"{self.path.name}.learnt-{hashlib.sha256(f'{self.identity} {design.key}'.encode()).hexdigest()[:32]}.npz"
        )
        if file.exists():
            try:
                return learnt_of(read_npz(file, _LARGEST), layers)
            except (OSError, ValueError) as error:
                warnings.warn(
                    f"{file}: what an earlier search learnt cannot be used ({error}); it is learnt again",
                    OctetWarning,
                    stacklevel=2,
                )
        found = learn()
        write_atomically(file, npz_bytes(arrays_of(found), compress=False))
        return found

    def remove(self) -> None:
        """Removes the files, as the search that they belong to is done."""
        if self.path is not None:
            for file in self.path.parent.glob(f"{glob.escape(self.path.name)}.learnt-*.npz"):
                file.unlink(missing_ok=True)


def arrays_of(layers: Mapping[int, Learnt]) -> dict[str, np.ndarray]:
    """What was learnt, as the arrays of a file."""
    return {f"weight_{layer}": learnt.weight for layer, learnt in layers.items()} | {
        f"bias_{layer}": learnt.bias_delta for layer, learnt in layers.items()
    }


def learnt_of(stored: Mapping[str, np.ndarray], layers: Mapping[int, Layer]) -> dict[int, Learnt]:
    """The inverse. Raises ValueError for other arrays than these layers learn, which would be other weights than were
    chosen."""
    wanted: dict[str, tuple[np.dtype, tuple[int, ...]]]
    wanted = {f"weight_{index}": (np.dtype(np.int8), layer.weight.shape) for index, layer in layers.items()}
    wanted |= {
        f"bias_{index}": (np.dtype(np.float32), (layer.weight.shape[layer.axis],)) for index, layer in layers.items()
    }
    for name in sorted(wanted.keys() ^ stored.keys()):
        raise ValueError(f"{name[:60]!a} is {'missing' if name in wanted else 'of no layer'}")
    for name, (dtype, shape) in wanted.items():
        array = stored[name]
        if (
            (array.dtype, array.shape) != (dtype, shape)
            or not np.isfinite(array).all()
            or (dtype == np.int8 and array.size and array.min() < -127)
        ):
            raise ValueError(f"{name} is not of its layer")
    return {index: Learnt(stored[f"weight_{index}"], stored[f"bias_{index}"]) for index in layers}
