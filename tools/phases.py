"""How long each phase of a command took."""

import time
from contextlib import contextmanager

from ..targets.schema import one_line
from .console import plain_console


class Phases:
    """Seconds per phase, in order. Call it with a name to begin the next phase; the one before ends there."""

    def __init__(self, announce=lambda name: None):
        self.seconds: dict[str, float] = {}
        self._announce = announce
        self._running = None

    def __call__(self, name: str | None) -> None:
        """Begins phase `name`; None only ends the running one."""
        now = time.perf_counter()
        if self._running is not None:
            last, started = self._running
            self.seconds[last] = self.seconds.get(last, 0.0) + now - started
        self._running = (name, now) if name is not None else None
        if name is not None:
            self._announce(name)


class Display:
    """One line of a rich.Progress: the running phase, its progress and its time."""

    def __init__(self, progress):
        self._progress, self._task = progress, None

    def begin(self, name):
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(name, total=None)

    def update(self, done, total=None):
        self._progress.update(self._task, completed=done, total=total)

    def describe(self, text):
        """What the running phase does now."""
        self._progress.update(self._task, description=one_line(text))

    def advance(self, count=1):
        self._progress.advance(self._task, count)


@contextmanager
def phases():
    """(Phases, display): the running phase, its progress and time are shown on stderr (a terminal only).
    display.update(done, total) and display.advance(count) move the bar of the running phase."""
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
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        display = Display(progress)
        timed = Phases(display.begin)
        yield timed, display
        timed(None)
