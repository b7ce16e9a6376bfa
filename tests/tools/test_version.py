"""`octet --version`."""

from importlib import metadata

from click.testing import CliRunner

from octet.tools import main as commands


def test_both_versions_are_shown():
    shown = CliRunner().invoke(commands.main, ["--version"])
    assert shown.exit_code == 0
    assert shown.output == f"octet {metadata.version('octet')} (apache-tvm {metadata.version('apache-tvm')})\n"


def test_without_the_compiler_it_says_so(monkeypatch):
    def version(name):
        if name == "apache-tvm":
            raise metadata.PackageNotFoundError(name)
        return "1.2.3"

    monkeypatch.setattr(commands, "version", version)
    assert CliRunner().invoke(commands.main, ["--version"]).output.startswith("octet 1.2.3 (no apache-tvm: ")
