"""Files and folders stay small, every pass has a test, and the documents name what exists."""

import ast
import re
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("passes", "targets", "tuning", "tools", "tests", "examples")
MOST_LINES = 300
MOST_FILES = 30
SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def test_size_and_name():
    sizes = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: lines for name, lines in sizes.items() if lines > MOST_LINES} == {}, "split these by job"
    vague = [name for name in sizes if Path(name).stem in ("utils", "util", "helpers", "common", "misc")]
    assert vague == [], "name these files after their job"


def test_no_room_is_crowded():
    files = Counter(str(path.parent.relative_to(ROOT)) for path in SOURCES)
    crowded = {folder: count for folder, count in files.items() if count > MOST_FILES}
    assert crowded == {}, "give files of one family a folder"


def passes():
    """Classes with `__call__(self, mod)` in a file of passes/: (file, class name)."""
    for path in sorted((ROOT / "passes").rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                methods = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
                call = methods.get("__call__")
                if call is not None and [argument.arg for argument in call.args.args[:2]] == ["self", "mod"]:
                    yield path, node.name


@cache
def pictured(fixture):
    """The passes that tests hand to `becomes` or `unchanged` (tests/conftest.py), as `becomes(MergeClips(), ...)` or by
    a variable `step` that was bound to one in the same file."""
    texts = [path.read_text() for path in (ROOT / "tests").rglob("test_*.py")]
    found = {name for text in texts for name in re.findall(rf"\b{fixture}\(\s*([A-Z]\w+)\(", text)}
    by_variable = (text for text in texts if re.search(rf"\b{fixture}\(\s*step\b", text))
    return found | {name for text in by_variable for name in re.findall(r"\bstep = ([A-Z]\w+)\(", text)}


@pytest.mark.parametrize(
    ("path", "name"), list(passes()), ids=lambda value: value if isinstance(value, str) else value.stem
)
def test_every_pass_has_a_picture_and_a_case_where_it_does_not_apply(path, name):
    for fixture, case in (("becomes", "the IR before and behind"), ("unchanged", "a network that it leaves as it is")):
        assert name in pictured(fixture), (
            f"no test shows, with `{fixture}`, of {name} ({path.relative_to(ROOT)}) {case}"
        )


def test_nothing_committed_is_a_build_product_or_large():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        assert path.suffix not in (".so", ".pyc", ".whl", ".octet"), name
        assert not path.exists() or path.stat().st_size < 2_000_000, name


def words_of(tree):
    """What a file names: variables, attributes, imports, and words in strings that are nothing else (operators, tables
    by name)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield node.name
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_the_product_uses_what_it_defines():
    """What only tests use stands beside the tests. Decorated functions are left out: commands, converters and rules are
    called by their tables."""
    paths = [path for room in ROOMS[:4] for path in (ROOT / room).rglob("*.py")]
    trees = {path: ast.parse(path.read_text()) for path in (*paths, ROOT / "__init__.py", ROOT / "api.py")}
    used = {word for tree in trees.values() for word in words_of(tree)}
    unused = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path, tree in trees.items()
        for node in tree.body
        if isinstance(node, ast.ClassDef) or (isinstance(node, ast.FunctionDef) and not node.decorator_list)
        if node.name not in used and not node.name.startswith("__")
    ]
    assert not unused


HOMONYMS = {
    "Epilogue": "of CUDA's it is the name in device/requantize.cuh",
    "TableEpilogue": "likewise",
}


def test_a_class_has_its_name_alone():
    """Of public classes. What shares one is listed with the reason."""
    found: dict[str, list[str]] = {}
    for path in (path for room in ROOMS[:4] for path in (ROOT / room).rglob("*.py")):
        for name in re.findall(r"^class ([A-Z]\w*)", path.read_text(), re.M):
            found.setdefault(name, []).append(str(path.relative_to(ROOT)))
    assert {name: places for name, places in found.items() if len(places) > 1 and name not in HOMONYMS} == {}
