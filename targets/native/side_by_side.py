"""Several inferences of one session side by side, step by step: between two steps somebody may look at what the
inferences made, and change the session's weights for those that follow."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..runtime import Session


class SideBySide:
    """Inferences of a session whose library has steps. A context manager, which gives their memory back.

    session: has a stream for each of them, and nobody else runs it meanwhile. feeds: {input: array} of every one. What
    they make of the network's outputs goes to the same arrays."""

    def __init__(self, session: "Session", feeds: Sequence[Mapping[str, np.ndarray]]) -> None:
        self._session, self._order = session, session._order()
        # Large inputs are read where they lie, so they are held as long as they may be.
        self._inputs = [session._given.arrays(feed) for feed in feeds]
        self._leases = [session._streams.take() for _ in feeds]
        self._first = len(self._inputs[0])
        places = self._leases[0].stream.places[self._first :]
        for lease, arrays in zip(self._leases, self._inputs, strict=True):
            lease.stream.stage(arrays)
            lease.stream.tensors[self._first :] = places

    def __enter__(self) -> "SideBySide":
        return self

    def __exit__(self, *error: object) -> None:
        for lease in self._leases:
            lease.stream.tensors[self._first :] = lease.stream.places[self._first :]
            self._session._streams.give(lease)
        self._leases = []

    def run(self, first: int, last: int) -> Iterator[np.ndarray]:
        """The steps [first, last) of one inference after the other: its arena (uint8) as those steps left it."""
        wanted = [(index, chunk) for index, chunk in self._order if first <= index < last]
        for lease in self._leases:
            for index, chunk in wanted:
                self._session._library.step(lease.stream.handle, index, chunk, lease.stream.tensors)
            yield lease.stream.arena
