"""JSON that every reader takes, and no reader of ours that takes more."""

import ast
import json
import math
from pathlib import Path

import pytest

from octet.targets.schema import json_text, parsed
from octet.tools.console import write_json

ROOT = Path(__file__).resolve().parents[2]


def strictly(text):
    return json.loads(text, parse_constant=lambda name: pytest.fail(name))


def test_numbers_that_are_not_finite_become_null(tmp_path):
    values = {"a": [1.5, math.nan, {"b": (math.inf, -math.inf)}], "c": 1e308, "d": "NaN"}
    assert strictly(json_text(values)) == {"a": [1.5, None, {"b": [None, None]}], "c": 1e308, "d": "NaN"}
    write_json(tmp_path / "figures.json", values)
    assert strictly((tmp_path / "figures.json").read_text())["a"][1] is None


@pytest.mark.parametrize(
    "text",
    ["NaN", "[Infinity]", "-Infinity", "1e999", '"\\ud800"', "", "[1", "{'a': 1}", b"\xff", "[" * 100_000, "1 2", "01"],
)
def test_what_is_no_json(text):
    with pytest.raises(ValueError):
        parsed(text)


def test_every_file_is_read_by_one_parser():
    """json.loads takes NaN, and its RecursionError is nobody's."""
    for room in ("passes", "targets", "tuning", "tools"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                assert not (
                    isinstance(node, ast.Attribute)
                    and node.attr in ("load", "loads")
                    and getattr(node.value, "id", "") == "json"
                ), f"{path.relative_to(ROOT)}:{node.lineno}: take schema.parsed"
