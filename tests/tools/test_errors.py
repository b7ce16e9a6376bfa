"""What a command prints when something goes wrong, and the exit status."""

import signal
import warnings

import click
import pytest
from click.testing import CliRunner

from octet.targets.errors import AccuracyError, DataError, OctetWarning
from octet.tools.errors import Command, CommandGroup


def group_of(error):
    @click.group(cls=CommandGroup)
    def main():
        pass

    @main.command()
    @click.option("--count", type=click.IntRange(min=1))
    def work(count):
        if error is not None:
            raise error

    return main


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (DataError("calib.npz: holds no samples"), 2, "octet: error: calib.npz: holds no samples"),
        (DataError("two\nlines"), 2, "octet: error: two lines"),
        (AccuracyError("missed"), 3, "octet: accuracy: missed"),
        (KeyError("x"), 1, "octet: bug: KeyError: 'x'; run again with OCTET_DEBUG=1 and report the traceback"),
        (KeyboardInterrupt(), 130, "octet: interrupted: nothing was written"),
    ],
)
def test_status_and_line(error, status, line):
    result = CliRunner().invoke(group_of(error), ["work"])
    assert result.exit_code == status
    assert result.stderr.lstrip("\n") == line + "\n"  # At a ^C click ends the line first.


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["work", "--nonsense"], ["work", "--count", "0"], ["work", "extra"]]
)
def test_usage_errors_are_one_line(arguments):
    result = CliRunner().invoke(group_of(None), arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("octet: error: ") and result.stderr.count("\n") == 1


@pytest.fixture
def interruptible():
    """pytest's workers ignore ^C."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


def test_an_interrupt_that_came_out_as_another_error(interruptible):
    @click.command(cls=Command)
    def main():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise RuntimeError from None

    result = CliRunner().invoke(main, [])
    assert result.exit_code == 130 and "interrupted" in result.stderr
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_done_and_help_are_zero():
    assert CliRunner().invoke(group_of(None), ["work"]).exit_code == 0
    assert CliRunner().invoke(group_of(None), ["--help"]).exit_code == 0


def test_a_command_returns_its_status():
    @click.command(cls=Command)
    def main():
        return 3

    assert CliRunner().invoke(main, []).exit_code == 3


def test_debug_shows_the_traceback(monkeypatch):
    monkeypatch.setenv("OCTET_DEBUG", "1")
    said = CliRunner().invoke(group_of(ValueError("a\x1b]0;title\x07b\u202ec")), ["work"]).stderr
    assert "Traceback" in said and "ValueError" in said and said.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("name", "files", "said"),
    [
        ("run", ["o", "o.state"], "nothing was written"),
        ("compile", [], "nothing was written"),
        ("compile", ["o"], "nothing was written"),  # It is there from an earlier run.
        ("compile", ["o", "o.state"], "o holds the best found until now; the same command goes on"),
        ("tune", [], "what was measured until now is recorded; the same command goes on"),
    ],
)
def test_an_interrupt_says_what_is_left(tmp_path, monkeypatch, name, files, said):
    @click.command(name, cls=Command)
    @click.option("-o", "--output")
    def main(output):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    for file in files:
        (tmp_path / file).touch()
    result = CliRunner().invoke(main, ["-o", "o"])
    assert result.exit_code == 130 and result.stderr.strip() == f"octet: interrupted: {said}"


def test_a_warning_of_ours_is_one_line(capsys):
    @click.command(cls=Command)
    def command():
        warnings.warn("record 7 is\nnot applied", OctetWarning, stacklevel=1)
        warnings.warn("something else", UserWarning, stacklevel=1)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with pytest.raises(SystemExit):
            command.main([])
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "octet: warning: record 7 is not applied" and "UserWarning: something else" in lines[1]
