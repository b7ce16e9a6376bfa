"""The gallery's scripts can be imported without the packages that they install, and its document shows each once."""

import importlib
import re
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SCRIPTS = sorted(path.stem for path in (EXAMPLES / "gallery").glob("*.py") if "\nFAMILY = " in path.read_text())


@pytest.fixture
def script(monkeypatch):
    """script(name): the module, imported as its own folder's."""
    known = set(sys.modules)
    monkeypatch.syspath_prepend(EXAMPLES / "gallery")
    yield importlib.import_module
    for name in set(sys.modules) - known:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == EXAMPLES / "gallery":
            del sys.modules[name]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_describes_its_family(script, name):
    family = script(name).FAMILY
    assert re.fullmatch(r"[a-z0-9-]+==[0-9.]+", family.package) and all("==" in package for package in family.beside)
    assert (
        family.model.endswith(".onnx")
        and callable(family.calibration)
        and callable(family.questions)
        and callable(family.answer)
    )


def test_answers_are_compared(script):
    """Counts of what is right and of what is as the reference has it, and the noise, from runs made up."""
    import numpy as np

    family = script("family")
    made = family.Family(
        task="signs",
        package="none==0",
        model="none.onnx",
        calibration=list,
        questions=lambda folder: [-2.0, -1.0, 1.0, 2.0],
        answer=lambda run, question, folder: bool(run({"x": np.float32([question])})["y"][0] > 0),
        truth=lambda question: question > 0,
    )
    made.__dict__["folder"] = None  # Nothing is installed.
    runs = {
        family.REFERENCE: lambda feed: {"y": feed["x"]},
        "octet-int8": lambda feed: {"y": feed["x"] + np.float32(1.5)},
    }
    assert family._compare(made, runs) == {
        family.REFERENCE: {"asked": 4, "right": 4, "same": 4, "sqnr": None},
        "octet-int8": {"asked": 4, "right": 3, "same": 3, "sqnr": pytest.approx(10 * np.log10(10 / 9), abs=0.05)},
    }


def test_the_document_shows_every_family():
    shown = re.findall(r"(?m)^\| \[(\w+)\.py\]\(gallery/\1\.py\)", (EXAMPLES / "gallery.md").read_text())
    assert sorted(shown) == SCRIPTS


def test_transformers_are_compared(script):
    """Cosines are of the last axis, and a way that gives no figures says why."""
    import numpy as np

    table = script("transformer_table")
    exact = {"y": np.array([[[3.0, 4.0], [0.0, 2.0]]])}
    turned = {"y": np.array([[[3.0, 4.0], [2.0, 0.0]]])}
    found = table._compared([exact, exact], ["a", "b"], [exact, turned], ["a", "c"])
    assert found == {
        "cosine": pytest.approx(0.75),
        "least": pytest.approx(0.5),
        "cosines": [1.0, 0.5],
        "db": pytest.approx(10 * np.log10(58 / 8)),
        "same": 1,
        "asked": 2,
    }
    about = found | {"ms": 1.5, "bytes": 2e6}
    others = {"NNCF": {"failed": "no"}, "nearer": about | {"cosines": [1.0, 1.0]}}
    said = table.rows("svtr", others | {"Octet": about})
    assert "| NNCF | cannot: no | | | | | |" in said
    assert "| Octet | 0.75000 (0.5000) |  | 8.6 | 1 of 2 | 1.50 | 2.0 |" in said
    (nearer,) = (row for row in said if row.startswith("| nearer |"))
    assert "| +0.25000 (+0.00000 to +0.50000) |" in nearer
