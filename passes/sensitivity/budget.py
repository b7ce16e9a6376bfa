"""How long a search may still run."""

import resource
import time
from collections.abc import Callable

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


def cpu_seconds() -> float:
    """Seconds of CPU time that this process has used, all threads, and its children that have ended: other work on the
    machine does not count."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


class Budget:
    """The time that a search may take.

    seconds: from now on; None never ends. clock: what they are counted by, time on the wall unless said."""

    def __init__(self, seconds: float | None = None, clock: Callable[[], float] | None = None) -> None:
        self.clock = clock if clock is not None else lambda: time.monotonic()
        self._end = None if seconds is None else self.clock() + seconds

    @property
    def spent(self) -> bool:
        """Whether the time is over."""
        return self._end is not None and self.clock() >= self._end

    def part(self, fraction: float) -> "Budget":
        """A budget of its own: this part of what is left."""
        left = self.left
        return Budget(None if left is None else fraction * left, self.clock)

    def reserve(self, seconds: float) -> None:
        """Ends so much earlier: for what must still be done when it has."""
        self._end = None if self._end is None else self._end - seconds

    @property
    def left(self) -> float | None:
        """Seconds that are left; None without a limit."""
        return None if self._end is None else max(0.0, self._end - self.clock())
