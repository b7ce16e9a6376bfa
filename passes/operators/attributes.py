"""The types of attributes, each with its range."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeGuard


@dataclass(frozen=True)
class Attribute:
    """What values an attribute of an operator may have.

    accepts(value): whether a plain Python value (as `ops.attrs_of` gives it) is one. expected: the type and range,
    for messages."""

    accepts: Callable[[object], bool]
    expected: str
    optional: bool = False


def integer(low: int | None = None, high: int | None = None, optional: bool = False) -> Attribute:
    """An int in [low, high]; None: no bound. A bool is none."""
    return Attribute(
        lambda value: _is_int(value) and (low is None or value >= low) and (high is None or value <= high),
        f"an integer{_range(low, high)}",
        optional,
    )


def integers(count: int, low: int) -> Attribute:
    """A list of `count` ints of at least `low`."""
    return Attribute(
        lambda value: (
            isinstance(value, (list, tuple)) and len(value) == count and all(_is_int(v) and v >= low for v in value)
        ),
        f"{count} integers{_range(low, None)}",
    )


def numbers(low: int | None = None, high: int | None = None, whole: bool = False) -> Attribute:
    """A list of finite numbers in [low, high]; whole: of ints."""
    each = integer(low, high) if whole else real(low=low)
    return Attribute(
        lambda value: isinstance(value, (list, tuple)) and all(map(each.accepts, value)),
        f"a list, each {each.expected}",
    )


def real(finite: bool = True, low: int | None = None, optional: bool = False) -> Attribute:
    """A float (or int). finite: neither infinite nor NaN; otherwise anything but NaN."""

    def accepts(value: object) -> bool:
        return (
            (_is_int(value) or isinstance(value, float))
            and not math.isnan(value)
            and (math.isfinite(value) or not finite)
            and (low is None or value >= low)
        )

    return Attribute(accepts, f"a {'finite ' if finite else ''}number{_range(low, None)}", optional)


def choice(*values: int | str, optional: bool = False) -> Attribute:
    """An attribute that is one of these values."""
    return Attribute(lambda value: any(value == each for each in values), " or ".join(map(repr, values)), optional)


def text(optional: bool = False) -> Attribute:
    """An attribute that is any text."""
    return Attribute(lambda value: isinstance(value, str), "a text", optional)


def _is_int(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _range(low: int | None, high: int | None) -> str:
    if high is not None:
        return f" from {low} to {high}"
    return f" of at least {low}" if low is not None else ""


ZERO_POINT = integer(-128, 127)
CLIP_INT8 = integer(-128, 127)  # An integer bound is one of what is stored.
CLIP_FLOAT = real(finite=False)
FLAG = Attribute(lambda value: value in (0, 1), "0 or 1")  # True and False are flags, too.
