"""The bundled example, compiled once through the command line."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import octet
from octet.targets import detect
from octet.tools.main import main

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"


class Digits:
    """The paths of the example, a way to run commands on them, and the package compiled from them."""

    def __init__(self, folder):
        self.folder = folder
        self.model, self.calib, self.val = (
            str(DIGITS / name) for name in ("digits.onnx", "digits-calib.npz", "digits-val.npz")
        )
        self.package = str(folder / "digits.octet")

    def octet(self, *arguments, status=0):
        """Runs `octet ...` in this process; its stdout."""
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exit_code == status, result.output
        assert result.stderr == "" or status != 0, result.stderr
        return result.stdout

    def compile(self, *more):
        """Compiles with `more` options; the report."""
        figures = self.folder / "report.json"
        self.octet("compile", self.model, "--calib", self.calib, "-o", self.package, "--json", figures, *more)
        return json.loads(figures.read_text())


def levels():
    """The best and the least target that run here."""
    found = detect.runnable()
    return list(dict.fromkeys((found[0], found[-1])))


@pytest.fixture(scope="session")
def compiled():
    """The example by the Python API, for the least and the best target that run here, with max calibration.
    tests/x86/test_levels.py compares all levels."""
    quantized = octet.quantize(
        octet.load_onnx(DIGITS / "digits.onnx"), DIGITS / "digits-calib.npz", octet.Recipe(calibrator="max")
    )
    return octet.compile(quantized, targets=[spec.name for spec in levels()], trials=0)


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    made = Digits(tmp_path_factory.mktemp("digits"))
    made.report = made.compile("--validate", made.val, "--max-drop", "0.01")
    return made
