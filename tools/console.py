"""What the commands print: progress on stderr (a terminal only), results on stdout, figures as JSON where asked for."""

from contextlib import contextmanager
from math import inf, isfinite
from pathlib import Path

import click

from ..targets.schema import json_text, one_line
from ..targets.writing import check_writable, write_atomically

PIPE_WIDTH = 160  # A table that does not go to a terminal has so many columns of characters.
# A table has at most so many rows, and a cell so many characters: layout takes milliseconds a row, and a file may
# declare any number.
MOST_ROWS, MOST_CHARACTERS = 1000, 300
_LONGEST = 1 << 16  # No text that is shown has more characters.
JSON_HELP = "Write the printed figures to FILE as JSON."


def out():
    """The console of results."""
    console = plain_console(soft_wrap=True)
    return console if console.is_terminal else plain_console(soft_wrap=True, width=PIPE_WIDTH)


def say(text: str, err: bool = False) -> None:
    """Prints one line, whatever the names of files, and names in them, hold."""
    click.echo(one_line(text), err=err)


def plain_console(**options):
    """A console to which texts are texts of one line: names come from files, and neither rich's markup nor a terminal's
    control characters in them mean anything."""
    from rich.console import Console

    class Plain(Console):
        def render_str(self, text, **kwargs):
            return super().render_str(one_line(_cut(text, _LONGEST)), **kwargs)

    return Plain(highlight=False, markup=False, emoji=False, **options)


@contextmanager
def progress(description: str, total: int | None = None):
    """A progress bar; yields advance(count=1). Silent where stderr is not a terminal."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = plain_console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=total)
        yield lambda count=1: bar.advance(task, count)


def text_table(title: str, columns, rows, right=()):
    """A table; `right` names the columns to align right. What is more than a person reads is left out, and said to
    be."""
    from rich import box
    from rich.table import Table

    rows = list(rows)
    rest = f"{len(rows) - MOST_ROWS} more rows are not shown" if len(rows) > MOST_ROWS else None
    made = Table(
        title=title, title_justify="left", caption=rest, caption_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows[:MOST_ROWS]:
        made.add_row(*(_cut(str(cell), MOST_CHARACTERS) for cell in row))
    return made


def _cut(text, most):
    return text if len(text) <= most else f"{text[:most]}..."


def check_json(path) -> None:
    """Fails before the work when the JSON file could not be written after it."""
    if path is not None:
        check_writable(path)


def write_json(path, figures: dict) -> None:
    """Writes the figures where the user asked for it."""
    if path is not None:
        write_atomically(Path(path), (json_text(figures, indent=1) + "\n").encode())


def size(count: float) -> str:
    """Bytes for people."""
    return f"{count / 1e6:.2f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def percent(drop: float, digits: int = 2) -> str:
    """A loss of accuracy; infinite where int8 has no score."""
    return f"{drop:.{digits}%}" if isfinite(drop) else "everything (int8 is not finite)"


def told_apart(drop: float, allowed: float) -> tuple[str, str]:
    """Both in percent, with as many digits as it takes to see that they differ."""
    digits = next((some for some in range(2, 9) if percent(drop, some) != percent(allowed, some)), 9)
    return percent(drop, digits), percent(allowed, digits)


def decibels(sqnr: float | None) -> str:
    """A signal-to-noise ratio; "" where none was measured."""
    return "" if sqnr is None else f"{sqnr:.2f}" if sqnr > -inf else "not finite"
