"""The sources follow the rules that pyproject.toml names for ruff and are laid out as it does, as `make lint` says
them."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHECKS = {"rules": ("check", "--output-format", "concise"), "layout": ("format", "--check")}


@pytest.mark.parametrize("check", CHECKS)
def test_ruff_finds_nothing(check):
    command = [sys.executable, "-m", "ruff", *CHECKS[check], "--no-cache", "."]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_stands_as_it_is_has_a_reason():
    for path in (
        path
        for room in ("passes", "targets", "tuning", "tools", "tests", "examples")
        for path in (ROOT / room).rglob("*.py")
    ):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if "# fmt:" in line and path != Path(__file__):
                assert line.count("  # ") >= 2, (
                    f"{path.relative_to(ROOT)}:{number} says no reason in front of its # fmt: skip"
                )


def test_argument_lists_are_short():
    """What has more than nine arguments takes the others by name, or one value that holds them (`BuildOptions`)."""
    for path in (path for room in ("passes", "targets", "tuning", "tools") for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
                most = 9 + (names[:1] in (["self"], ["cls"]))
                assert len(names) <= most, f"{path.relative_to(ROOT)}: {node.name}"


def test_hooks_use_the_tools_of_this_checkout():
    """One that is fetched would lay the sources out in another way, and needs a network."""
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    entries = re.findall(r"entry: (.*)", hooks)
    assert [entry.split()[0] for entry in entries] == [".venv/bin/ruff", ".venv/bin/ruff", ".venv/bin/python"]
    assert re.findall(r"repo: (.*)", hooks) == ["local"]
