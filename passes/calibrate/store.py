"""Statistics on disk: what one calibration run, or a shard of it, has seen, with the content that it depends on.

An .npz without pickle. Shards of the same network merge exactly, in any order (statistics.py)."""

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from octet.targets.archive import write_atomically
from octet.targets.errors import DataError

from .statistics import Statistics

_KEY = "octet_statistics"
_VERSION = 1
_FIELDS = {"model": "the model's weights or graph", "batch": "the batch size", "data": "the calibration data or their preprocessing", "version": "the format of statistics"}


@dataclass(frozen=True)
class Identity:
    """What statistics depend on. model: SHA-256 of the ONNX file. data: SHA-256 of the samples, of shards in order. samples: how many."""

    model: str
    batch: int
    data: tuple[str, ...]
    samples: int
    version: int = _VERSION

    def stale(self, other: "Identity") -> str | None:
        """Why statistics with this identity do not serve for `other`; None if they do."""
        changed = [text for name, text in _FIELDS.items() if getattr(self, name) != getattr(other, name)]
        return f"{', '.join(changed)} changed" if changed else None


def identity_of(model, samples: Mapping[str, np.ndarray]) -> Identity:
    """model: Model. samples: {input: array}."""
    digest = hashlib.sha256()
    for name, array in sorted(samples.items()):
        digest.update(f"{name} {array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
    return Identity(model.sha256, model.batch, (digest.hexdigest(),), len(next(iter(samples.values()))))


def save(path, identity: Identity, statistics: Mapping[str, Statistics]) -> None:
    """Writes {tensor: Statistics} atomically."""
    names = list(statistics)
    scalars = [[s.count, s.zeros, s.nonfinite, s.top] for s in statistics.values()]
    ranges = np.array([[s.minimum, s.maximum] for s in statistics.values()], np.float64).reshape(-1, 2)
    header = json.dumps({"identity": identity.__dict__ | {"data": list(identity.data)}, "tensors": names, "scalars": scalars})
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
    with np.load(path, allow_pickle=False) as stored:
        header, ranges, histograms = json.loads(str(stored[_KEY])), stored["ranges"], stored["histograms"]
    found = header["identity"]
    identity = Identity(**found | {"data": tuple(found["data"])})
    made = [Statistics(c, z, n, float(low), float(high), top, histogram) for (c, z, n, top), (low, high), histogram in zip(header["scalars"], ranges, histograms)]
    return identity, dict(zip(header["tensors"], made))


def merge(parts) -> tuple[Identity, dict[str, Statistics]]:
    """parts: (path, identity, statistics) of shards of one network. Raises DataError if they are not, or if a shard comes twice."""
    (first, identity, statistics), *others = parts
    merged = {name: Statistics() for name in statistics}
    seen: set[str] = set()
    for path, other, found in parts:
        if (other.model, other.batch, other.version) != (identity.model, identity.batch, identity.version) or found.keys() != merged.keys():
            raise DataError(f"{path}: is not of the same model and batch as {first}; merge shards of one network")
        if seen & set(other.data):
            raise DataError(f"{path}: its samples are in another shard already; name every shard once")
        seen |= set(other.data)
        for name, part in found.items():
            merged[name].merge(part)
    return replace(identity, data=tuple(sorted(seen)), samples=sum(part[1].samples for part in parts)), merged
