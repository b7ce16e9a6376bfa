"""The full-size networks: each compiles, and its module equals the referee byte for byte. Minutes each, so only where
asked for:

python tests/architectures/build.py FOLDER
OCTET_FULL_SIZE=FOLDER pytest tests/architectures/test_full_size.py
"""

import json
import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from octet.tools.main import main

sys.path.insert(0, str(Path(__file__).parent))
import language
import vision

FOLDER = os.environ.get("OCTET_FULL_SIZE")
PRODUCTS = {"octet.conv2d", "octet.dense", "octet.matmul"}


@pytest.mark.skipif(FOLDER is None, reason="takes minutes: set OCTET_FULL_SIZE to a folder that build.py has filled")
@pytest.mark.parametrize("name", [*vision.NETWORKS, *language.NETWORKS])
def test_full_size(name, tmp_path):
    model = Path(FOLDER) / f"{name}.onnx"
    arguments = [
        "compile",
        model,
        "--calib",
        model.with_suffix(".npz"),
        "-o",
        tmp_path / "n.octet",
        "--referee",
        "--json",
        tmp_path / "n.json",
    ]
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "n.json").read_text())
    assert (
        report["referee"]["equal"] and report["multiply_adds"]["float"] == 0 and report["multiply_adds"]["int8"] > 1e8
    )
    assert not PRODUCTS & {entry["operator"] for entry in report["operators"]["reasons"]}
    assert all(entry["reason"] for entry in report["operators"]["reasons"])
