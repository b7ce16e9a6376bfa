"""One arena for all intermediates: buffers whose lifetimes do not overlap share bytes."""

from dataclasses import dataclass
from typing import Any

ALIGNMENT = 64  # One 512-bit vector, which is one cache line, has so many bytes.


@dataclass(frozen=True)
class Lifetime:
    """A buffer of `size` bytes, written by step `first` and last read by step `last`."""

    name: object
    size: int
    first: int
    last: int


def plan_arena(buffers: list[Lifetime]) -> tuple[dict[Any, int], int]:
    """({name: offset}, bytes of the arena). Greedy: the largest buffer first, each at the lowest offset that is free
    during its life."""
    placed: list[tuple[int, int, Lifetime]] = []
    offsets = {}
    for buffer in sorted(buffers, key=lambda b: (-b.size, b.first)):
        size = -(-buffer.size // ALIGNMENT) * ALIGNMENT
        at = 0
        for start, end, _ in sorted(
            (entry for entry in placed if entry[2].first <= buffer.last and buffer.first <= entry[2].last),
            key=lambda entry: entry[0],
        ):
            if at + size <= start:
                break
            at = max(at, end)
        placed.append((at, at + size, buffer))
        offsets[buffer.name] = at
    return offsets, max((end for _, end, _ in placed), default=0)
