"""What files that are read back may hold: kinds of values with bounds, checked before anything is used. Every violation
names the field.

Conversion is msgspec's; the classes that say what a file holds (msgspec.Struct) stand with the reader of that file."""

import json
from math import isfinite
from typing import Annotated, Any, TypeVar

import msgspec

# A text has no control characters and none that turn or hide text.
_PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]*$"

_LONGEST = 200  # A message repeats no more characters of a text that others wrote.

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=1024, pattern=_PRINTABLE)]
Text = Annotated[str, msgspec.Meta(max_length=1 << 16, pattern=_PRINTABLE)]
Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Size = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]  # Sizes are bytes, or counts of a few things.
Seconds = Annotated[float, msgspec.Meta(ge=0.0, le=1e9)]


T = TypeVar("T")


def parsed(text: str | bytes) -> Any:
    """The JSON values of a text. Raises ValueError where it is none: NaN, Infinity and numbers beyond float64 are
    none."""
    try:
        # TVM's strings are a kind of their own.
        return msgspec.json.decode(str(text) if isinstance(text, str) else text)
    except RecursionError:
        raise ValueError("values lie too deep in each other") from None
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None


def json_text(value: object, **layout: Any) -> str:
    """JSON values as the text that every reader of JSON takes: numbers that are not finite, which JSON lacks, become
    null. layout: as json.dumps takes it."""
    return json.dumps(_finite(value), allow_nan=False, **layout)


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    return [_finite(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def checked(value: object, kind: type[T]) -> T:
    """JSON values as an object of `kind`. Raises ValueError with what is wrong, and where."""
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise ValueError(_shortened(str(error))) from None


def read_json(text: str | bytes, kind: type[T]) -> T:
    """The JSON values of a text as `kind`, refused at the first one that is not: nothing is made of the rest. Raises
    ValueError as `parsed` and `checked` do."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(_shortened(str(error))) from None


def printable(text: str) -> str:
    """A text for a terminal: characters that would control it are escaped; line breaks stay."""
    return (
        text
        if text.isprintable()
        else "".join(one if one.isprintable() or one == "\n" else one.encode("unicode_escape").decode() for one in text)
    )


def one_line(text: str) -> str:
    """A text as `Text` takes it: characters that would control a terminal are escaped, line breaks too."""
    return printable(text).replace("\n", "\\n")


def _shortened(message: str) -> str:
    said, _, place = message.rpartition(" - at ")
    said = printable(said.replace(_PRINTABLE, "of printable characters"))
    return f"{printable(place.strip('`'))[:_LONGEST]}: {said[:_LONGEST]}" if said else printable(message)[:_LONGEST]
