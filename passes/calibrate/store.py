"""Statistics on disk: what one calibration run, or a shard of it, has seen, with the content that it depends on.

An .npz without pickle. Shards of the same network merge exactly, in any order (statistics.py)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np

from octet.targets.errors import DataError
from octet.targets.npz import Stacked, names_of, npz_bytes, read_npz, rows_of
from octet.targets.schema import Count, Name, Text, json_text, read_json
from octet.targets.writing import write_atomically

from .identity import Identity
from .statistics import BINS, Statistics, window_top

if TYPE_CHECKING:
    import os


_KEY = "octet_statistics"
_MOST = 8192  # Histograms of so many tensors take 1 GiB.
_LARGEST_HEADER = 32 << 20  # A header takes at most so many bytes.
_FLOAT = float(np.finfo(np.float32).max)
_HIGHEST = window_top(_FLOAT)


def save(
    path: "str | os.PathLike[str]",
    identity: Identity,
    statistics: Mapping[str, Statistics],
    more: Mapping[str, np.ndarray] = MappingProxyType({}),
    write: "Callable[[str | os.PathLike[str], bytes], None]" = write_atomically,
) -> None:
    """Writes {tensor: Statistics} atomically. more: arrays that `load` leaves alone. write: takes the path and the
    bytes."""
    names = list(statistics)
    scalars = [[s.count, s.zeros, s.nonfinite, s.top] for s in statistics.values()]
    ranges = np.array([[s.minimum, s.maximum] for s in statistics.values()], np.float64).reshape(-1, 2)
    header = json_text({"identity": asdict(identity), "tensors": names, "scalars": scalars})
    histograms = Stacked([s.histogram for s in statistics.values()]) if names else np.zeros((0, 2, 1), np.int64)
    write(Path(path), npz_bytes({_KEY: np.array(header), "ranges": ranges, "histograms": histograms, **more}))


class _Identity(msgspec.Struct):
    graph: dict[Name, Text]
    weights: dict[Name, Text]
    inputs: dict[Name, Text]
    data: Annotated[list[dict[Name, Text]], msgspec.Meta(max_length=_MOST)]
    samples: Count
    version: Text


class _Version(msgspec.Struct):
    """The fields of a header that every version writes."""

    identity: dict[Name, msgspec.Raw]


class _Header(msgspec.Struct):
    """What a file says of its statistics. scalars: (count, zeros, values that are not finite, the window's end) of
    every tensor."""

    identity: _Identity
    tensors: Annotated[list[Name], msgspec.Meta(max_length=_MOST)]
    scalars: Annotated[
        list[tuple[Count, Count, Count, Annotated[int, msgspec.Meta(ge=1, le=_HIGHEST)]]],
        msgspec.Meta(max_length=_MOST),
    ]


def holds_statistics(path: Path | str) -> bool:
    """Whether a file was written by `save`."""
    try:
        return _KEY in names_of(path)
    except (OSError, ValueError):
        return False


def load(path: Path) -> tuple[Identity, dict[str, Statistics]]:
    """(identity, {tensor: statistics}) of a file. Raises DataError for anything that `save` did not write."""
    with _said(path):
        header = _header(path)
        return _identity(path, header), dict(_statistics(path, header))


def contents(path: Path) -> tuple[Identity, list[str]]:
    """(identity, names of the tensors) of the statistics in a file, which are not read. Raises DataError for anything
    that `save` did not write."""
    try:
        header = _header(path)
        return _identity(path, header), header.tensors
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: holds no calibration statistics ({error}); make it with `octet calibrate`") from None


def identity_in(path: Path) -> Identity:
    """The identity that a file of statistics begins with. Raises as `contents` does."""
    return contents(path)[0]


def merge(paths: Sequence[Path]) -> tuple[Identity, dict[str, Statistics]]:
    """(identity, statistics) of the shards of one network in these files, taken together. The first is held and takes
    in the others tensor by tensor: memory does not grow with the shards. Raises DataError as `load` does, for shards of
    different networks, and for a shard that comes twice."""
    first, *others = paths
    identity, merged = load(first)
    seen, samples = list(identity.data), identity.samples
    for path in others:
        with _said(path):
            header = _header(path)
            other = _identity(path, header)
            if not other.same_network(identity) or set(header.tensors) != merged.keys():
                reason = other.stale(identity, data=False) or "it holds other tensors"
                raise DataError(
                    f"{path}: is not of the same model and batch as {first}: {reason}; merge shards of one network"
                )
            if any(part in seen for part in other.data):
                raise DataError(f"{path}: its samples are in another shard already; name every shard once")
            for name, part in _statistics(path, header):
                merged[name].merge(part)
        seen, samples = [*seen, *other.data], samples + other.samples
    return replace(identity, data=tuple(sorted(seen, key=lambda part: sorted(part.items()))), samples=samples), merged


@contextmanager
def _said(path: Path) -> Iterator[None]:
    """What is wrong with a file becomes a DataError that names it."""
    if not holds_statistics(path):
        raise DataError(f"{path}: holds no calibration statistics; make it with `octet calibrate`")
    try:
        yield
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: is damaged ({error}); run octet calibrate again") from None


def _header(path: Path) -> _Header:
    text = str(read_npz(path, _LARGEST_HEADER, (_KEY,))[_KEY])
    if "graph" not in read_json(text, _Version).identity:
        raise DataError(f"{path}: holds statistics of another version of Octet; run octet calibrate again")
    return read_json(text, _Header)


def _identity(path: Path, header: _Header) -> Identity:
    entry = header.identity
    return Identity(entry.graph, entry.weights, entry.inputs, tuple(entry.data), entry.samples, entry.version)


def _statistics(path: Path, header: _Header) -> Iterator[tuple[str, Statistics]]:
    """(tensor, Statistics), read one at a time. Raises ValueError for numbers that no calibration gives: what is chosen
    from them would be nonsense."""
    count = len(header.tensors)
    if len(set(header.tensors)) != count or len(header.scalars) != count:
        raise ValueError("its tensors and their counts do not belong together")
    ranges = read_npz(path, _LARGEST_HEADER, ("ranges",), {"ranges": (np.float64, (count, 2))})["ranges"].tolist()
    histograms = rows_of(path, "histograms", np.int64, (count, 2, BINS)) if count else ()
    for histogram, name, (seen, zeros, nonfinite, top), (low, high) in zip(
        histograms, header.tensors, header.scalars, ranges
    ):  # Histograms come first, as `zip` reads them to their end.
        empty = (low, high) == (np.inf, -np.inf)
        if not (empty or (-_FLOAT <= low <= high <= _FLOAT)) or (
            not empty and window_top(max(abs(low), abs(high))) > top
        ):
            raise ValueError(f"tensor {name}: its range is {low} to {high}")
        if histogram.min() < 0 or zeros + nonfinite > seen or histogram.sum(dtype=np.float64) > seen * (1 + 1e-9):
            raise ValueError(f"tensor {name}: counts more values in parts than in all")
        yield name, Statistics(seen, zeros, nonfinite, low, high, top, histogram)
