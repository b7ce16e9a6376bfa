"""The report: complete, self-contained, and alive in a browser."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from octet.tools.main import main

pytest.importorskip("matplotlib")
DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    arguments = ["compile", DIGITS / "digits.onnx", "--calib", DIGITS / "digits-calib.npz", "--validate", DIGITS / "digits-val.npz", "--max-drop", "0.01",
                 "-o", folder / "d.octet", "--report", folder / "report.html"]  # fmt: skip
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    assert not (folder / "d.octet.state").exists(), "a search that is done leaves no state"
    return folder / "report.html"


def test_it_needs_nothing_but_itself(page):
    text = page.read_text()
    assert not re.search(r"(src|href)=\"(https?:)?//", text) and "<link" not in text
    assert text.count("<svg") > 10 and 'id="operators"' in text and "as calibrated" in text and "own SQNR dB" in text


def test_it_opens_in_a_browser(page):
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000", "--dump-dom", page.as_uri()]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60)
    ready = re.search(r'data-ready="(\d+)"', found.stdout)
    assert ready and int(ready[1]) > 10, found.stderr[-500:]
