"""A search for float layers that is killed for real goes on where it was; a budget ends it with the best package on
disk."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from octet.targets.package import load

PROGRAM = "import sys; from octet.tools.main import compile_model; sys.exit(compile_model())"


@pytest.fixture
def command(small, tmp_path):
    """Arguments whose target (180 dB) no int8 network meets, so that the search goes on to its end."""
    with np.load(small / "val.npz") as stored:
        np.savez(tmp_path / "val.npz", x=stored["x"][:16])
    return [
        "--calib",
        small / "calib.npz",
        "--validate",
        tmp_path / "val.npz",
        "--metric",
        "sqnr",
        "--max-drop",
        "1e-9",
        "--calibrator",
        "max",
        "--no-repair",
        "-o",
        tmp_path / "s.octet",
    ]


def measurements(path):
    try:
        return len(json.loads(path.read_text())["measurements"])
    except FileNotFoundError:
        return 0


def test_a_killed_search_goes_on(small, octet, command, tmp_path):
    state = tmp_path / "s.octet.state"
    arguments = [str(argument) for argument in (small / "small.onnx", *command)]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    end = time.monotonic() + 120
    while measurements(state) < 4 and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, process.stderr.read()
    process.stderr.close()
    found = measurements(state)
    assert found >= 4
    outputs = load(tmp_path / "s.octet", threads=1).run({"x": np.zeros((1, 3, 8, 8), np.float32)})
    assert np.isfinite(outputs["y"]).all(), "the best package so far is whole"

    printed = octet("compile", small / "small.onnx", *command, "--json", tmp_path / "s.json", status=3)
    report = json.loads((tmp_path / "s.json").read_text())
    assert report["workflow"]["resumed"] == found and f"resumed: {found} measurements" in printed
    assert report["target_missed"] and not state.exists(), "a search that came to its end leaves no state"
    assert {"calibrate", "fp32 reference", "sensitivity", "partial quantization"} <= report["seconds"].keys()
    assert report["accuracy"]["int8"] > min(step["sqnr_db"] for step in report["workflow"]["steps"]), (
        "better than what was first tried"
    )


def test_a_budget_ends_the_search(small, octet, command, tmp_path):
    printed = octet(
        "compile", small / "small.onnx", *command, "--budget", "0s", "--json", tmp_path / "s.json", status=3
    )
    report = json.loads((tmp_path / "s.json").read_text())
    assert (
        report["workflow"]["budget_spent"]
        and "the budget ended the search" in printed
        and "accuracy target missed" in printed
    )
    assert (tmp_path / "s.octet.state").exists() and load(tmp_path / "s.octet", threads=1)
