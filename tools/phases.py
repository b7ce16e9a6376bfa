"""How long each phase of a command took."""

import time
from contextlib import contextmanager


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


@contextmanager
def phases():
    """Phases with a spinner on stderr that names the running one and its time (a terminal only). The spinner's `.display` hosts progress bars."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as display:
        task = display.add_task("", total=None)
        timed = Phases(lambda name: display.reset(task, description=name, total=None))
        timed.to = lambda done, total=None: display.update(task, completed=done, total=total)
        timed.advance = lambda count=1: display.advance(task, count)
        timed.expect = lambda total: display.update(task, total=total)
        yield timed
        timed(None)
