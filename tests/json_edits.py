"""Edits of JSON values as an attacker or a broken disk makes them: what is read back must be refused in one line, or be
harmless."""

import copy
from collections.abc import Iterator

BAD = (
    None,
    True,
    -1,
    1 << 40,
    1 << 70,
    1.5,
    float("nan"),
    float("inf"),
    "",
    "x" * 100_000,
    "a\x1b[31mb",
    "a\x9bb",
    "../../a",
    "[red]",
    [],
    [[]],
    {},
    {"a": 1},
)


def edits(value, bad=BAD) -> Iterator[tuple[str, object]]:
    """(what was done, an edited copy) for every place: taken away, doubled in its list, and replaced by every bad
    value."""
    for path in _places(value):
        shown = "".join(f"[{step!r}]" for step in path)
        for name, change in (
            ("without", lambda holder, at: holder.pop(at)),
            ("twice", _twice),
            *((f"{str(one)[:20]!r} at", lambda holder, at, one=one: holder.__setitem__(at, one)) for one in bad),
        ):
            made = copy.deepcopy(value)
            holder = made
            for step in path[:-1]:
                holder = holder[step]
            change(holder, path[-1])
            yield f"{name} {shown}", made


def _twice(holder, at):
    if isinstance(holder, list):
        holder.append(holder[at])
    else:
        holder[f"{at} "] = holder[at]


def _places(value, path=()):
    if isinstance(value, dict):
        steps = list(value)
    elif isinstance(value, list):
        steps = list(range(min(len(value), 3)))  # The others are like these.
    else:
        return
    for step in steps:
        yield (*path, step)
        yield from _places(value[step], (*path, step))
