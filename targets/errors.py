"""The one error tree. Whatever a user can cause is an `OctetError`; everything else is a bug."""

from .schema import printable

_LONGEST = 2000  # Messages are cut at this length, as names in files may be longer than any line.


class OctetError(Exception):
    """The user's input is wrong. The message is one line: what, where, what to do. Exit status 2.

    It repeats names that stand in files, so line breaks and what controls a terminal are escaped, and the middle of one
    that never ends is left out."""

    def __init__(self, message: str = "") -> None:
        text = printable(" ".join(str(message).splitlines()))
        super().__init__(text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}")


class UnsupportedModelError(OctetError):
    """The network has an operator, a type or a shape that cannot be imported at all."""


class DataError(OctetError):
    """Calibration or validation data do not fit the model, or hold values that cannot be used."""


class PackageError(OctetError):
    """A package is corrupt, truncated, of another format version, or not for this machine."""


class TargetError(OctetError):
    """A target is unknown, or its tool chain is missing."""


class AccuracyError(OctetError):
    """The accuracy target was not met. Exit status 3; the best package is still written."""


class OctetWarning(RuntimeWarning):
    """Something was left out that the user may have counted on. The message is one line; commands print it on
    stderr."""
