"""What the repairs learnt of a network, kept on disk beside a search's journal: a search that goes on after a kill does not learn it again."""

import glob
import hashlib
from collections.abc import Callable
from pathlib import Path

from octet.targets.npz import npz_bytes, read_npz
from octet.targets.writing import write_atomically

from .design import Design
from .learn import Learnt

_LARGEST = 4 << 30  # bytes


class LearntFiles:
    """One file for every design that learns. path: of the journal, None keeps nothing. identity: of all that the learning depends on beside the
    design; files of another identity are not found, and go with the others."""

    def __init__(self, path=None, identity: str = ""):
        self.path, self.identity = Path(path) if path is not None else None, identity

    def get(self, design: Design, learn: Callable[[], dict[int, Learnt]]) -> dict[int, Learnt]:
        """{layer: Learnt} of that design, from learn() where no file holds it."""
        if self.path is None:
            return learn()
        file = self.path.with_name(f"{self.path.name}.learnt-{hashlib.sha256(f'{self.identity} {design.key}'.encode()).hexdigest()[:32]}.npz")
        try:
            stored = read_npz(file, _LARGEST)
            layers = sorted(int(name.removeprefix("weight_")) for name in stored if name.startswith("weight_"))
            return {layer: Learnt(stored[f"weight_{layer}"], stored[f"bias_{layer}"]) for layer in layers}
        except (OSError, ValueError, KeyError):
            pass  # there is none, or half of one
        found = learn()
        arrays = {f"weight_{layer}": learnt.weight for layer, learnt in found.items()} | {f"bias_{layer}": learnt.bias_delta for layer, learnt in found.items()}
        write_atomically(file, npz_bytes(arrays, compress=False))
        return found

    def remove(self) -> None:
        """The search is done."""
        if self.path is not None:
            for file in self.path.parent.glob(f"{glob.escape(self.path.name)}.learnt-*.npz"):
                file.unlink(missing_ok=True)
