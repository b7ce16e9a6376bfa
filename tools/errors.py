"""What a command prints and returns when something goes wrong: one line on stderr, and the exit status."""

import errno
import os
import re
import signal
import sys
import traceback
import warnings
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, requires

import click

from ..targets.errors import AccuracyError, OctetError, OctetWarning
from ..targets.reading.limits import LIMITS, parse_limits, with_limits
from ..targets.schema import printable
from .overwriting import refuse_overwriting

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP)
_EXTRAS = ("compile", "tune")  # Modules of these extras are imported where they are needed, without asking first.
_NOTHING = "nothing was written"
USER, TARGET_MISSED, BUG, INTERRUPTED = 2, 3, 1, 130


def _say(kind, text):
    print(f"octet: {kind}: {printable(' '.join(str(text).split()))}", file=sys.stderr)


def status_of(error: BaseException) -> int:
    """Prints the one line for an exception and returns the exit status: 2 the user's input, 3 accuracy target missed, 1
    a bug."""
    if os.environ.get("OCTET_DEBUG"):
        # The trace holds the message, and with it names that stand in files, so it is made printable.
        print(printable("".join(traceback.format_exception(error))), end="", file=sys.stderr)
    if isinstance(error, AccuracyError):
        _say("accuracy", error)
        return TARGET_MISSED
    if isinstance(error, OctetError):
        _say("error", error)
        return USER
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        hint = f" (see {context.command_path} --help)" if context is not None else ""
        _say("error", error.format_message() + hint)
        return USER
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        _say("interrupted", _note_of(error) or _NOTHING)
        return INTERRUPTED
    # The reader of a pipe has gone, as in `octet ... | head`.
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if (full := _no_room(error)) is not None:
        _say("error", f"{full}; make room, check the permissions, or set TMPDIR to a folder that can be written")
        return USER
    if isinstance(error, ModuleNotFoundError) and (extra := extra_of(error.name)) is not None:
        _say("error", f"{error.name} is not installed; run: pip install 'octet[{extra}]'")
        return USER
    first = next(iter(str(error).strip().splitlines()), "")[:200]
    _say("bug", f"{type(error).__name__}: {first}; run again with OCTET_DEBUG=1 and report the traceback")
    return BUG


def extra_of(module: str | None) -> str | None:
    """The smallest extra of octet that installs a module; None for what belongs to none, and where octet is no
    installed distribution."""
    try:
        required = requires("octet") or []
    except PackageNotFoundError:
        return None
    wanted = str(module).partition(".")[0]
    found = [
        line.rpartition("extra == ")[2].strip("\"'")
        for line in required
        if (name := re.match(r"[\w.-]+", line)) and name[0].replace("-", "_") == wanted
    ]
    return next((name for name in _EXTRAS if name in found), None)


def _no_room(error) -> str | None:
    """What a full disk or a place that cannot be written or entered said, to us or to a program or a library that we
    called; None for every other error."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            return f"{error.filename or 'a temporary file'}: {error.strerror}"
        if isinstance(error, FileNotFoundError) and "temporary directory" in str(error):
            return str(error.strerror or error)
        lines = str(error).splitlines()
        if (
            said := next((line for line in lines if any(os.strerror(number) in line for number in _NO_ROOM)), None)
        ) is not None:
            return said.strip()[:200]
        error = error.__cause__ or error.__context__
    return None


def _kept(command, options) -> str:
    """What a command leaves that is interrupted."""
    if command == "tune":
        return "what was measured until now is recorded; the same command goes on"
    output = options.get("output")
    if command == "finetune" and os.path.exists(f"{output}.state"):
        return f"{output}.state holds the training up to the last whole epoch; the same command goes on"
    if command == "compile" and os.path.exists(output) and os.path.exists(f"{output}.state"):
        return f"{output} holds the best found until now; the same command goes on"
    return _NOTHING


def _note_of(error) -> str | None:
    """What Command noted on it, or on what it came from: click makes another exception of ^C."""
    while error is not None:
        if getattr(error, "__notes__", None):
            return error.__notes__[0]
        error = error.__cause__ or error.__context__
    return None


def _as_interrupt(error):
    interrupt = KeyboardInterrupt()
    interrupt.__cause__ = error
    return interrupt


def _check_cpu():
    """Raises TargetError, before anything is done, where OCTET_CPU names what this machine is not."""
    if os.environ.get("OCTET_CPU"):
        from ..targets import detect

        detect.cpu_features()


@contextmanager
def _interrupts():
    """A list that is no longer empty once ^C was pressed: a KeyboardInterrupt within a callback of TVM comes out as a
    RuntimeError without a word."""
    seen, previous = [], signal.getsignal(signal.SIGINT)

    def interrupt(number, frame):
        seen.append(number)
        previous(number, frame)  # type: ignore[operator,misc] # Python's own handler: `ours` says so

    # Nothing is taken over where ^C is ignored (a job in the background) or has somebody else's handler.
    ours = previous is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, interrupt)
    try:
        yield seen
    finally:
        if ours:
            signal.signal(signal.SIGINT, previous)


def _show_warning(message, category, filename, lineno, file=None, line=None):
    """Ours are for the user, one line; all others look as they always do."""
    if issubclass(category, OctetWarning):
        _say("warning", message)
    else:
        print(printable(warnings.formatwarning(message, category, filename, lineno, line)), file=sys.stderr, end="")


class _Guarded:
    """A click command whose errors are one line and whose exit status follows the table in the README."""

    def main(self, *args, standalone_mode=True, **kwargs):
        if not standalone_mode:
            return super().main(*args, standalone_mode=False, **kwargs)  # type: ignore[misc] # of a click command
        with _interrupts() as seen, warnings.catch_warnings():
            warnings.showwarning = _show_warning
            try:
                status = super().main(*args, standalone_mode=False, **kwargs)  # type: ignore[misc] # of a click command
            except click.exceptions.Exit as leave:
                sys.exit(leave.exit_code)
            except (Exception, KeyboardInterrupt) as error:
                sys.exit(status_of(_as_interrupt(error) if seen else error))
        sys.exit(status if isinstance(status, int) else 0)


class CommandGroup(_Guarded, click.Group):
    """A group of commands."""

    def list_commands(self, ctx):
        """The names in the order of a user's work, not of the alphabet."""
        return list(self.commands)


class Command(_Guarded, click.Command):
    """A command of its own. Its outputs are other files than its inputs. It takes --limit."""

    def __init__(self, *args, params=None, **kwargs):
        names = ", ".join(LIMITS)
        limits = click.Option(
            ["--limit", "limits"],
            multiple=True,
            metavar="NAME=VALUE",
            help=f"Believe files that declare more: {names}; see docs/security.md. May be repeated.",
        )
        super().__init__(*args, params=[*(params or ()), limits], **kwargs)  # type: ignore[misc] # params is none of args

    def invoke(self, ctx):
        """Runs the command under its limits, after outputs that are inputs and CPUs that lack what NumPy needs were
        refused."""
        refuse_overwriting(ctx)
        _check_cpu()
        try:
            with with_limits(parse_limits(ctx.params.pop("limits", ()))):
                return super().invoke(ctx)
        except (Exception, KeyboardInterrupt) as error:
            error.add_note(_kept(ctx.command.name, ctx.params))  # Where ^C ended the command, `status_of` says this.
            raise
