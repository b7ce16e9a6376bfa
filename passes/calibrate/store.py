"""Statistics on disk: what one calibration run, or a shard of it, has seen, with the content that it depends on.

An .npz without pickle. Shards of the same network merge exactly, in any order (statistics.py)."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, replace
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from octet.targets.archive import write_atomically
from octet.targets.errors import DataError

from .identity import Identity
from .statistics import Statistics

_KEY = "octet_statistics"


def save(path, identity: Identity, statistics: Mapping[str, Statistics]) -> None:
    """Writes {tensor: Statistics} atomically."""
    names = list(statistics)
    scalars = [[s.count, s.zeros, s.nonfinite, s.top] for s in statistics.values()]
    ranges = np.array([[s.minimum, s.maximum] for s in statistics.values()], np.float64).reshape(-1, 2)
    header = json.dumps({"identity": asdict(identity), "tensors": names, "scalars": scalars})
    histograms = np.stack([s.histogram for s in statistics.values()]) if names else np.zeros((0, 2, 1), np.int64)
    buffer = BytesIO()
    np.savez_compressed(buffer, **{_KEY: np.array(header)}, ranges=ranges, histograms=histograms)
    write_atomically(Path(path), buffer.getvalue())


def holds_statistics(path) -> bool:
    """Whether a file was written by `save`."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return _KEY in stored.files
    except (OSError, ValueError, BadZipFile, AttributeError, TypeError, EOFError):
        return False


def load(path) -> tuple[Identity, dict[str, Statistics]]:
    """Raises DataError for anything that `save` did not write."""
    if not holds_statistics(path):
        raise DataError(f"{path}: holds no calibration statistics; make it with `octet calibrate`")
    try:
        with np.load(path, allow_pickle=False) as stored:
            header, ranges, histograms = json.loads(str(stored[_KEY])), stored["ranges"], stored["histograms"]
    except (OSError, ValueError, BadZipFile, KeyError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: is damaged ({type(error).__name__}); run octet calibrate again") from None
    identity = _identity(path, header)
    made = [Statistics(c, z, n, float(low), float(high), top, histogram) for (c, z, n, top), (low, high), histogram in zip(header["scalars"], ranges, histograms)]
    return identity, dict(zip(header["tensors"], made))


def identity_in(path) -> Identity:
    """Of the statistics in a file, which are not read. Raises DataError for anything that `save` did not write."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return _identity(path, json.loads(str(stored[_KEY])))
    except (OSError, ValueError, BadZipFile, KeyError, AttributeError, TypeError, EOFError, zlib.error):
        raise DataError(f"{path}: holds no calibration statistics; make it with `octet calibrate`") from None


def _identity(path, header):
    found = header["identity"]
    if "graph" not in found:
        raise DataError(f"{path}: holds statistics of another version of Octet; run octet calibrate again")
    return Identity(**found | {"data": tuple(found["data"])})


def merge(parts) -> tuple[Identity, dict[str, Statistics]]:
    """parts: (path, identity, statistics) of shards of one network. Raises DataError if they are not, or if a shard comes twice."""
    (first, identity, statistics), *others = parts
    merged = {name: Statistics() for name in statistics}
    seen: list[Mapping[str, str]] = []
    for path, other, found in parts:
        if not other.same_network(identity) or found.keys() != merged.keys():
            reason = other.stale(identity, data=False) or "it holds other tensors"
            raise DataError(f"{path}: is not of the same model and batch as {first}: {reason}; merge shards of one network")
        if any(part in seen for part in other.data):
            raise DataError(f"{path}: its samples are in another shard already; name every shard once")
        seen += other.data
        for name, part in found.items():
            merged[name].merge(part)
    data = tuple(sorted(seen, key=lambda part: sorted(part.items())))
    return replace(identity, data=data, samples=sum(part[1].samples for part in parts)), merged
