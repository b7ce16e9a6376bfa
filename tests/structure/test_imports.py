"""Imports point one way: targets <- passes <- tuning <- tools, and so do the packages within passes."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("targets", "passes", "tuning", "tools")  # A room may import itself and those before it.
# Beside them stands api.py, which may import all.
FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


@cache
def imported_modules(path):
    """[(octet module as a tuple of names without "octet", line)] for every import of a file, relative imports
    resolved."""
    found = []
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
            if name[0] == "octet" and len(name) > 1:
                found.append((tuple(name[1:]), node.lineno))
    return found


def imported_rooms(path):
    """The rooms of octet that a file imports."""
    return [(name[0], line) for name, line in imported_modules(path) if name[0] in ROOMS]


def package_graph(room):
    """{package of the room: the packages of the room that it imports}; a file beside the packages counts as one of its
    own."""
    imports = {}
    for path in (ROOT / room).rglob("*.py"):
        own = path.relative_to(ROOT / room).parts[0].removesuffix(".py")
        found = {name[1] for name, _ in imported_modules(path) if name[0] == room and len(name) > 1}
        imports.setdefault(own, set()).update(found - {own})
    return imports


def cycle_in(imports):
    """The packages of cycles and those that lead into one; empty if there is none."""
    left = {own: found & set(imports) for own, found in imports.items()}
    while leaves := [own for own, found in left.items() if not found & set(left)]:
        for own in leaves:
            del left[own]
    return sorted(left)


def test_direction():
    allowed = {room: ROOMS[: ROOMS.index(room) + 1] for room in ROOMS}
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports octet.{room}"
        for path in FILES
        for room, line in imported_rooms(path)
        if room not in allowed[path.relative_to(ROOT).parts[0]]
    ]
    assert not wrong


def test_the_check_sees_relative_and_absolute_imports(monkeypatch):
    path = ROOT / "targets" / "x86" / "no_file_of_ours.py"
    text = "from ...tools import main\nfrom octet.passes import ops\nfrom .. import errors\nfrom ... import tuning\n"
    monkeypatch.setattr(Path, "read_text", lambda self, *a, **k: text)
    assert [room for room, _ in imported_rooms(path)] == ["tools", "passes", "targets", "tuning"]


def test_the_packages_of_passes_import_each_other_one_way():
    imports = package_graph("passes")
    assert "repair" in imports["sensitivity"] and "sensitivity" not in imports["repair"]
    assert cycle_in(imports) == []


def test_the_packages_of_tools_import_each_other_one_way():
    imports = package_graph("tools")
    assert "building" in imports["commands"] and "commands" not in imports["building"]
    assert cycle_in(imports) == []


def test_a_cycle_is_found():
    assert cycle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["a", "b", "c"]
