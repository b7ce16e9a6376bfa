"""A target is a backend: what a kind of target can do is asked of it, and no kind and no target is told by its name
outside of the tables that name them."""

import ast
import re
from pathlib import Path

import pytest

from octet.passes.lower.backends import LOWERINGS
from octet.targets.kinds.backends import BACKENDS
from octet.targets.registry import TARGETS
from octet.tuning.backends import TUNERS
from octet.tuning.spaces.space import VERSIONS

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("targets", "passes", "tuning", "tools")
# Where kinds have their names: the backends' own rooms, and the tables by kind.
NAMED = (
    "targets/registry.py",
    "targets/cpu/",
    "targets/cuda/",
    "passes/lower/backends.py",
    "tuning/backends.py",
    "tuning/spaces/space.py",
)
OTHERS = (
    "tools/training/",
    "tools/commands/finetune.py",
    "tuning/records.py",
)  # Devices of PyTorch, and a column of records, have the same names.
UNITS = ("amx",)  # The name is an instruction set, a family of kernels and a space as well.
FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def named(tree):
    """(line, name) of every text that is the name of a kind, and of every target whose name is compared."""
    fields = {
        key for node in ast.walk(tree) if isinstance(node, ast.Dict) and not _names_kinds(node) for key in node.keys
    }  # A report has keys of the same names.
    texts = {
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in BACKENDS and node not in fields
    }
    for node in ast.walk(tree):
        asked = (
            isinstance(node, ast.Compare)
            or isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("startswith", "endswith")
        )
        for part in ast.walk(node) if asked else ():
            if (
                isinstance(part, ast.Constant)
                and isinstance(part.value, str)
                and part.value not in UNITS
                and _names_a_target(part.value)
            ):
                texts.add((part.lineno, part.value))
    return sorted(texts)


def _names_kinds(table):
    return all(isinstance(key, ast.Constant) and key.value in BACKENDS for key in table.keys)


def _names_a_target(text):
    return text in TARGETS or len(text) > 3 and any(name.startswith(text) for name in TARGETS)


@pytest.mark.parametrize("room", ROOMS)
def test_no_kind_and_no_target_is_told_by_its_name(room):
    wrong = []
    for path in FILES:
        place = str(path.relative_to(ROOT))
        if place.startswith(f"{room}/") and not place.startswith((*NAMED, *OTHERS)):
            wrong += [f"{place}:{line} has {name!r}" for line, name in named(ast.parse(path.read_text()))]
    assert wrong == [], "ask spec.backend or variant.backend (targets/kinds/backend.py)"


def test_no_dot_product_is_told_by_its_name():
    """Outside of targets and of what is CUDA's own: a TargetSpec says what its units can do."""
    others = [
        path
        for path in FILES
        if not (place := str(path.relative_to(ROOT))).startswith("targets/") and "cuda" not in place
    ]
    assert [
        f"{path}: {found}" for path in others for found in re.findall(r"\bdot (?:==|!=|in|not in) .*", path.read_text())
    ] == []


def test_comparisons_are_seen():
    texts = [
        'spec.kind == "cuda"',
        'x = {"cpu": 1}',
        'name in ("x86-64-v3", native)',
        'target.startswith("cuda-")',
        'name == "arm64-neon"',
    ]
    assert [[name for _, name in named(ast.parse(text))] for text in texts] == [
        ["cuda"],
        ["cpu"],
        ["x86-64-v3"],
        ["cuda-"],
        ["arm64-neon"],
    ]
    assert named(ast.parse('dot == "amx" and dtype == "int8"')) == []


def test_every_kind_is_in_every_table():
    assert (
        BACKENDS.keys()
        == LOWERINGS.keys()
        == TUNERS.keys()
        == VERSIONS.keys()
        == {spec.kind for spec in TARGETS.values()}
    )
    assert all(backend.kind == kind for kind, backend in BACKENDS.items())
