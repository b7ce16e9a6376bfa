"""What a manifest says of the words that a watched variant writes."""

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct

from ..schema import Size, Text
from .health import Clip
from .inputs import Usual, WatchedInput
from .words import Check, Words

if TYPE_CHECKING:
    from ..manifest.fields import Entry, _OfShape

_ALIGNMENT, _MOST = 64, 1 << 18
_PARTS = 8  # An input's channels are divided into eight parts at most.


class CheckEntry(Struct):
    """A self-check of a layer: of its sums, of bytes, or of constants."""

    kind: Literal["sums", "bytes", "constants"]
    layer: Text


class ClipEntry(Struct):
    """How many values of a layer's result lie at an end of their range, and how many usually do."""

    layer: Text
    end: Literal["high", "low"]
    values: Annotated[int, Meta(ge=1, le=1 << 40)]
    most: Size = 0
    mean: Annotated[float, Meta(ge=0, le=1e12)] = 0.0


Feature = Annotated[float, Meta(ge=-1e12, le=1e12)]
Features = Annotated[tuple[Feature, ...], Meta(min_length=2, max_length=2 * _PARTS)]


class UsualEntry(Struct):
    """What the answers to calibration data were like: mean and precision matrix of their features."""

    answers: Annotated[int, Meta(ge=1, le=1 << 20)]
    mean: Features
    precision: Annotated[tuple[Features, ...], Meta(min_length=2, max_length=2 * _PARTS)]
    bound: Annotated[float, Meta(ge=0, le=1e12)]


class InputEntry(Struct):
    """An input whose features are compared with the usual ones."""

    layer: Text
    values: Annotated[tuple[Annotated[int, Meta(ge=1, le=1 << 30)], ...], Meta(min_length=1, max_length=_PARTS)]
    usual: UsualEntry | None = None

    def __post_init__(self) -> None:
        features = 2 * len(self.values)
        if self.usual is not None and (
            {len(self.usual.mean), len(self.usual.precision), *map(len, self.usual.precision)} != {features}
            or self.usual.answers <= features
        ):
            raise ValueError(f"what is usual is not of {features} features")

    @property
    def input(self) -> WatchedInput:
        """The input in the form that the checks of an answer take."""
        usual = self.usual
        return WatchedInput(
            self.layer,
            self.values,
            None if usual is None else Usual(usual.answers, usual.mean, usual.precision, usual.bound),
        )


class WordsEntry(Struct):
    """Where in the arena kernels leave words for the checks, and what each word means."""

    at: Size
    checks: Annotated[tuple[CheckEntry, ...], Meta(max_length=_MOST)] = ()
    clips: Annotated[tuple[ClipEntry, ...], Meta(max_length=_MOST)] = ()
    limit: Size = 0
    inputs: Annotated[tuple[InputEntry, ...], Meta(max_length=_MOST)] = ()

    @property
    def words(self) -> Words:
        """The words in the form that the checks of an answer take, everything in the order of the words."""
        clips = tuple(Clip(clip.layer, clip.end, clip.values, clip.most, clip.mean) for clip in self.clips)
        return Words(
            self.at,
            tuple(Check(check.kind, check.layer) for check in self.checks),
            clips,
            self.limit,
            tuple(one.input for one in self.inputs),
        )


def check_words(target: str, one: "Entry | _OfShape") -> None:
    """Raises ValueError for words that do not lie in the arena. one: an Entry of the manifest, or what it has for
    another shape."""
    if one.words is not None and (
        one.words.at % _ALIGNMENT or one.words.at + 4 * one.words.words.count > one.arena_bytes
    ):
        raise ValueError(
            f"variant {target}: its words at {one.words.at} do not fit an arena of {one.arena_bytes} bytes"
        )
