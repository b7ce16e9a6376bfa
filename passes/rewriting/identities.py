"""A variable's name is its identity: made unique on import, carried by every rewrite as it is, joined by equality
alone.

Nothing parses an identity or spells it another way, so names that look alike to somebody (`a.0` and `a_0`) are
apart."""

from collections.abc import Iterable


class Identities:
    """Gives names that nobody has. taken: those that somebody has already."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._count: dict[str, int] = {}

    def unique(self, wanted: str) -> str:
        """`wanted` if nobody has it, else with the first number behind it that makes it nobody's."""
        name = wanted
        while name in self._taken:
            self._count[wanted] = self._count.get(wanted, 1) + 1
            name = f"{wanted}#{self._count[wanted]}"
        self._taken.add(name)
        return name
