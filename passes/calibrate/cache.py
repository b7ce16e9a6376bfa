"""Statistics of earlier calibrations, found again by the content that they depend on (identity.py).

A folder of files as store.py writes them, named by their identity's digest. Files appear whole (written beside, then
renamed), so writers may run side by side and a process may be killed at any time; a damaged file counts as absent.
Where the folder grows past its limit, what was used least recently goes."""

import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octet.targets.errors import DataError, OctetError
from octet.targets.writing import home, replace_atomically

from . import store
from .identity import Identity, network_identity
from .statistics import Statistics

if TYPE_CHECKING:
    import tvm

    from .collect import ExecutorFactory


LIMIT = 512 << 20  # A cache takes at most so many bytes.
_LEFT_OVER = 3600  # After so many seconds nobody is still writing a file.
_LOOKED_AT = 64  # So many entries, latest first, are asked why they do not serve.


class StatisticsCache:
    """A cache in `folder`, made when something is first written there. limit: bytes that it may take.

    notes: what every question led to, in words for the user; `line` sums them up."""

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        self.folder, self.limit = Path(folder), limit
        self.notes: list[tuple[str, str]] = []

    def find(self, identity: Identity) -> dict[str, Statistics]:
        """What is known of a network on these samples; {} if nothing."""
        path = self._path(identity)
        try:
            # Somebody may have put another file here, which is of other samples or another network.
            if store.identity_in(path) != identity:
                return {}
            held, statistics = store.load(path)
            if held != identity:
                return {}
            # The access time says when the file was used, the modification time when it was made.
            os.utime(path, (time.time(), path.stat().st_mtime))
            return statistics
        except (DataError, OSError):
            return {}

    def put(self, identity: Identity, statistics: Mapping[str, Statistics]) -> str:
        """Keeps them; returns what went wrong, "" if nothing: a cache that cannot be written is no reason to stop."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # Writing to a pipe here would block, and a link would lead out of the folder: the file is replaced.
            store.save(path := self._path(identity), identity, statistics, write=replace_atomically)
            self._shrink(path)
        except (OctetError, OSError) as error:
            return f"; not cached ({error.strerror if isinstance(error, OSError) else error})"
        return ""

    def why_not(self, identity: Identity) -> str:
        """Why there is no entry, by the one that is nearest to it: of the same network or the same tensors; "" if there
        is none."""
        found: list[tuple[float, int, str | None]] = []
        for path in self._entries()[:_LOOKED_AT]:
            try:
                other = store.identity_in(path)
            except (DataError, OSError):
                continue
            shared = len(other.graph.keys() & identity.graph.keys()) / max(len(identity.graph), 1)
            if shared < 0.5 or other.inputs.keys() != identity.inputs.keys():
                continue
            same = (
                (other.graph == identity.graph)
                + (other.weights == identity.weights)
                + (other.data == identity.data)
                + (other.inputs == identity.inputs)
            )
            found.append((same + shared, len(found), other.stale(identity)))
        return max(found, key=lambda entry: (entry[0], -entry[1]))[2] or "" if found else ""

    def measured(
        self,
        measure: Callable[..., dict[str, Statistics]],
        mod: "tvm.IRModule",
        tensors: Iterable[str],
        samples: Mapping[str, Any],
        executor_factory: "ExecutorFactory",
        progress: Callable[[int, int | None], None] | None = None,
    ) -> dict[str, Statistics]:
        """measure(mod, tensors, samples, executor_factory, progress) -> {tensor: Statistics}, without doing again what
        was done before."""
        identity = network_identity(mod).with_data(samples)
        place = {name: number for number, name in enumerate((*identity.inputs, *identity.graph))}
        tensors = sorted(set(tensors), key=place.__getitem__)  # Tensors come in program order, whatever is cached.
        cached = self.find(identity)
        missing = set(tensors) - cached.keys()
        if not missing:
            self.notes.append(("cached", f"from cache ({identity.samples} samples, made {self._made(identity)})"))
            return {name: cached[name] for name in tensors}
        reason = (
            f"the cached entry lacks {len(missing)} tensors"
            if cached
            else self._damage(identity) or self.why_not(identity)
        )
        new = measure(mod, missing, samples, executor_factory, progress)
        trouble = self.put(identity, cached | new)
        self.notes.append(
            (
                "computed",
                (
                    f"computed; {reason}"
                    if cached
                    else f"computed, what is cached does not serve: {reason}"
                    if reason
                    else "computed"
                )
                + trouble,
            )
        )
        return {name: (cached | new)[name] for name in tensors}

    @property
    def line(self) -> str | None:
        """One line for the user; None if nothing was asked."""
        if not self.notes:
            return None
        cached = sum(kind == "cached" for kind, _ in self.notes)
        first = next((text for kind, text in self.notes if kind == "computed"), self.notes[0][1])
        more = (
            f"; {cached} of {len(self.notes)} runs from cache"
            if len(self.notes) > 1 and cached < len(self.notes)
            else ""
        )
        return f"calibration: {first}{more}"

    def _damage(self, identity: Identity) -> str:
        """Said of an entry that is there and did not serve."""
        return "the entry is damaged, or of something else" if os.path.lexists(self._path(identity)) else ""

    def _path(self, identity: Identity) -> Path:
        return self.folder / f"{identity.key}.npz"

    def _made(self, identity: Identity) -> str:
        try:
            return time.strftime("%Y-%m-%d %H:%M", time.localtime(self._path(identity).stat().st_mtime))
        except OSError:
            return "earlier"  # Another process removed it.

    def _entries(self) -> list[Path]:
        """Files of the cache, used last first."""
        found = []
        for path in self.folder.glob("*.npz") if self.folder.is_dir() else ():
            try:
                found.append((path.stat().st_atime, path))
            except OSError:
                continue  # Another process removed it.
        return [path for _, path in sorted(found, reverse=True)]

    def _shrink(self, kept: Path) -> None:
        size = 0
        self._remove_left_overs()
        for path in self._entries():
            try:
                size += path.stat().st_size
                if size > self.limit and path != kept:
                    path.unlink()
            except OSError:
                continue

    def _remove_left_overs(self) -> None:
        """Temporary files of processes that were killed while they wrote."""
        for path in self.folder.glob(".*"):
            try:
                if time.time() - path.stat().st_mtime > _LEFT_OVER:
                    path.unlink()
            except OSError:
                continue


def cache_place(folder: str | None = None) -> Path:
    """Where the user's cache is: `folder`, else $OCTET_CACHE, else $XDG_CACHE_HOME/octet, else ~/.cache/octet."""
    if folder is not None:
        return Path(folder)
    if os.environ.get("OCTET_CACHE"):
        return Path(os.environ["OCTET_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or home() / ".cache") / "octet"
