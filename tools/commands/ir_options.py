"""Options of commands that run passes, for who wants to look at them."""

import click

_OPTIONS = (
    click.option(
        "--dump-ir", metavar="DIR", help="Write the IR after every pass, with its time, to DIR (new or empty)."
    ),
    click.option("--stop-after", metavar="PASS", help="Stop behind a pass; without --dump-ir its IR is printed."),
    click.option("--verify-ir", is_flag=True, help="Verify the IR after every pass; a fault is a bug of that pass."),
)


def ir_options(command):
    """The options of every command that compiles: to dump, verify and stop."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def say_stopped(seen) -> None:
    """Says after which pass compiling stopped.

    seen: the Instruments of passes that ended at --stop-after."""
    from ...passes.listing import listing
    from ...targets.schema import printable
    from ..console import say

    number, (name, note, _) = len(seen.ran), seen.ran[-1]
    described = f"stopped behind {name}{f' ({note})' if note else ''}, pass {number}"
    if seen.dump_ir is None:
        say(f"# {described}")
        click.echo(printable(listing(seen.module)))
    else:
        say(f"{described}; no package was written; the IR is in {seen.written}")
