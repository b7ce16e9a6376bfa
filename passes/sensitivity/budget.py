"""How long a search may still run, and its log on disk."""

import json
import time
from pathlib import Path

from octet.targets.writing import write_atomically
from octet.targets.errors import OctetError

_UNITS = {"s": 1, "m": 60, "h": 3600}


def parse_duration(text: str) -> float:
    """Seconds of "90", "90s", "10m", "2h". Raises OctetError."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    try:
        seconds = float(number) * _UNITS[unit]
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise OctetError(f"--budget {text}: is no duration; write 90s, 10m or 2h")
    return seconds


class Budget:
    """seconds: from now on; None never ends."""

    def __init__(self, seconds: float | None = None):
        self._end = None if seconds is None else time.monotonic() + seconds

    @property
    def spent(self) -> bool:
        return self._end is not None and time.monotonic() >= self._end

    def part(self, fraction: float) -> "Budget":
        """A budget of its own: this part of what is left."""
        return Budget(None if self._end is None else fraction * self.left)

    @property
    def left(self) -> float | None:
        """Seconds, None without an end."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())


class Journal:
    """Measurements by key, on disk after every one: a search that was killed finds them again and goes on where it was.

    path: of the file, None keeps them in memory. identity: what the measurements belong to; a file of another identity is started anew."""

    def __init__(self, path=None, identity: str = ""):
        self.path, self.identity, self.found = Path(path) if path is not None else None, identity, {}
        if self.path is not None and self.path.is_file():
            try:
                stored = json.loads(self.path.read_text())
                self.found = stored["measurements"] if stored["identity"] == identity else {}
            except (ValueError, KeyError, TypeError):
                self.found = {}  # written by something else, or half: nothing in it can be trusted
        self._old, self._used = frozenset(self.found), set()

    def get(self, key: str, measure):
        """The measurement of that key (JSON values), made by measure() if it is new."""
        if key in self.found:
            self._used.add(key)
            return self.found[key]
        self.found[key] = value = measure()
        if self.path is not None:
            write_atomically(self.path, json.dumps({"identity": self.identity, "measurements": self.found}).encode())
        return value

    @property
    def reused(self) -> int:
        """How many measurements of the file were asked for."""
        return len(self._old & self._used)

    def remove(self) -> None:
        """The search is done: nothing is left to resume."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
