"""The words that a watched network writes beside its answers, and what they mean."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from ..errors import OctetError
from ..schema import printable
from .health import Clip, Health, health_of
from .inputs import WatchedInput


class SelfCheckError(OctetError):
    """An answer contradicts itself: a bit changed while it was computed."""


_SAID = {
    "sums": "the sums of {} are not what its input and its weights give",
    "bytes": "what {} wrote changed before it was read",
    "constants": "the constants of {} changed",
}

_OF = {"sums": "layers' sums", "bytes": "tensors between kernels", "constants": "kernels' constants"}


@dataclass(frozen=True)
class Check:
    """A word that is 0 unless something went wrong. kind "sums": the sums of `layer` against its input and weights;
    "bytes": what `layer` wrote against what others read; "constants": its biases, multipliers, tables and the like."""

    kind: str
    layer: str

    @property
    def said(self) -> str:
        """What an answer that fails it is said to be."""
        return _SAID[self.kind].format(repr(printable(self.layer)))


@dataclass(frozen=True)
class Words:
    """Where a run leaves what it counted: int32 words in the arena, from byte `at` on: one per check, then one per end
    of a tensor's range at which values are counted, then those of inputs, in order. limit: how many of the counts may
    be beyond what calibration saw in an answer that is like it (health.py)."""

    at: int
    checks: tuple[Check, ...] = ()
    clips: tuple[Clip, ...] = ()
    limit: int = 0
    inputs: tuple[WatchedInput, ...] = ()

    @property
    def count(self) -> int:
        """How many words the kernels of a run leave."""
        return len(self.checks) + len(self.clips) + sum(one.words for one in self.inputs)

    @property
    def counts(self) -> dict[str, int]:
        """How many checks there are of every kind."""
        return dict(Counter(check.kind for check in self.checks))

    @property
    def described(self) -> str:
        """How many checks of each kind there are, in words."""
        return ", ".join(f"{count} {_OF[kind]}" for kind, count in self.counts.items())

    def view(self, arena: np.ndarray) -> np.ndarray:
        """The words, where a run writes them. arena: uint8."""
        return arena[self.at : self.at + 4 * self.count].view(np.int32)

    def health(self, words: np.ndarray) -> Health:
        """The health that an answer's words tell of, int32 [count]."""
        counts, sums = np.split(words[len(self.checks) :], [len(self.clips)])
        return health_of(self.clips, counts, self.limit, self.inputs, sums)

    def failed(self, words: np.ndarray) -> bool:
        """Whether a check found an answer to contradict itself."""
        return bool(words[: len(self.checks)].any())

    def verify(self, words: np.ndarray) -> None:
        """Raises SelfCheckError for the first check that failed."""
        if self.failed(words):
            failed = np.flatnonzero(words[: len(self.checks)])
            more = f" (and {failed.size - 1} later checks)" if failed.size > 1 else ""
            raise SelfCheckError(
                f"run: self-check: {self.checks[failed[0]].said}{more}; a bit flipped in memory or in the processor: "
                "run it again, and if it comes back load the package again"
            )
