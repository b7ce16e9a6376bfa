"""What a manifest says of the words that a watched variant writes."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from ..schema import Size, Text
from .health import Clip
from .words import Check, Words

_ALIGNMENT, _MOST = 64, 1 << 18


class CheckEntry(Struct):
    kind: Literal["sums", "bytes", "constants"]
    layer: Text


class ClipEntry(Struct):
    layer: Text
    values: Annotated[int, Meta(ge=1, le=1 << 40)]
    most: Size = 0
    mean: Annotated[float, Meta(ge=0, le=1e12)] = 0.0


class WordsEntry(Struct):
    at: Size
    checks: Annotated[tuple[CheckEntry, ...], Meta(max_length=_MOST)] = ()
    clips: Annotated[tuple[ClipEntry, ...], Meta(max_length=_MOST)] = ()
    limit: Size = 0

    @property
    def words(self) -> Words:
        clips = tuple(Clip(clip.layer, clip.values, clip.most, clip.mean) for clip in self.clips)
        return Words(self.at, tuple(Check(check.kind, check.layer) for check in self.checks), clips, self.limit)


def check_words(target: str, one) -> None:
    """Raises ValueError for words that do not lie in the arena. one: an Entry of the manifest, or what it has for another shape."""
    if one.words is not None and (one.words.at % _ALIGNMENT or one.words.at + 4 * one.words.words.count > one.arena_bytes):
        raise ValueError(f"variant {target}: its words at {one.words.at} do not fit an arena of {one.arena_bytes} bytes")
