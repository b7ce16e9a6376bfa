"""Imports point one way: targets <- passes <- tuning <- tools."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("targets", "passes", "tuning", "tools")  # a room may import itself and those before it
FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def imported_rooms(path):
    """The rooms of octet that a file imports, relative imports resolved."""
    package = ("octet", *path.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            module = base + (node.module.split(".") if node.module else [])
            names = [module + [alias.name] for alias in node.names] if len(module) == 1 else [module]
        else:
            continue
        for name in names:
            if name[0] == "octet" and len(name) > 1 and name[1] in ROOMS:
                yield name[1], node.lineno


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_direction(path):
    own = path.relative_to(ROOT).parts[0]
    allowed = ROOMS[: ROOMS.index(own) + 1]
    wrong = [f"{path.relative_to(ROOT)}:{line} imports octet.{room}" for room, line in imported_rooms(path) if room not in allowed]
    assert not wrong


def test_the_check_sees_relative_and_absolute_imports(monkeypatch):
    path = ROOT / "targets" / "x86" / "layout.py"
    text = "from ...tools import main\nfrom octet.passes import ops\nfrom .. import errors\nfrom ... import tuning\n"
    monkeypatch.setattr(Path, "read_text", lambda self, *a, **k: text)
    assert [room for room, _ in imported_rooms(path)] == ["tools", "passes", "targets", "tuning"]
