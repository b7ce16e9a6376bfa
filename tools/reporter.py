"""How far a command is: the phases it went through with their seconds, the progress of the running one, and what it
does now."""

import time
from collections.abc import Callable
from contextlib import contextmanager

from ..targets.schema import one_line
from .console import plain_console


class Reporter:
    """What long work tells: this one keeps the seconds of every phase and shows nothing. One travels with BuildOptions
    through everything that takes long."""

    def __init__(self):
        self.seconds: dict[str, float] = {}  # Phases are in the order of their first beginning.
        self._running: tuple[str, float] | None = None

    def phase(self, name: str | None) -> None:
        """Begins phase `name`, where the one before ends; None only ends the running one."""
        now = time.perf_counter()
        if self._running is not None:
            last, started = self._running
            self.seconds[last] = self.seconds.get(last, 0.0) + now - started
        self._running = (name, now) if name is not None else None

    def progress(self, done: int, total: int | None = None) -> None:
        """So much of the running phase is done; total: None where nobody knows it."""

    def advance(self, count: int = 1) -> None:
        """So much more of the running phase is done."""

    def message(self, text: str) -> None:
        """What the running phase does now."""


class CallingReporter(Reporter):
    """For callers of the library, who give functions: phase(name) when one begins; progress(done, total), or None."""

    def __init__(self, phase: Callable[[str], object], progress: Callable[[int, int | None], object] | None = None):
        super().__init__()
        self._begun, self._progress = phase, progress

    def phase(self, name):
        """Tells the caller that one begins; its end is not told."""
        super().phase(name)
        if name is not None:
            self._begun(name)

    def progress(self, done, total=None):
        """Tells the caller, if asked for it."""
        if self._progress is not None:
            self._progress(done, total)


class LineReporter(Reporter):
    """One line of a rich.Progress: the running phase, its progress and its time."""

    def __init__(self, line):
        super().__init__()
        self._line, self._task = line, None

    def phase(self, name):
        """The line begins anew, with that name and no total."""
        super().phase(name)
        if name is None:
            return
        if self._task is not None:
            self._line.remove_task(self._task)
        self._task = self._line.add_task(name, total=None)

    def progress(self, done, total=None):
        """The bar shows done of total; it pulses where total is None."""
        self._line.update(self._task, completed=done, total=total)

    def advance(self, count=1):
        """The bar shows so much more."""
        self._line.advance(self._task, count)

    def message(self, text):
        """Stands where the phase's name stood, cut to one line."""
        self._line.update(self._task, description=one_line(text))


@contextmanager
def reporting():
    """The Reporter of a command: phase, progress and time are shown in one line on stderr (a terminal only)."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = plain_console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as line:
        reporter = LineReporter(line)
        yield reporter
        reporter.phase(None)
