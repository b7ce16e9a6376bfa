"""The scripts behind the tables of documents run: tables.py and loading.py, on a small network."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from octet.tools.main import main

from .. import small_network

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = small_network.write(tmp_path_factory.mktemp("tables"))
    (folder / "calib.npz").rename(folder / "small.npz")
    words = ["compile", "small.onnx", "--calib", "small.npz", "--no-repair", "-o", "small.octet"]
    done = CliRunner().invoke(main, [str(folder / word) if "." in word else word for word in words])
    assert done.exit_code == 0, done.output
    return folder


def printed(script, *words):
    done = subprocess.run([sys.executable, HERE / script, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_exported_library_and_a_session_are_measured(folder):
    done = CliRunner().invoke(main, ["export", str(folder / "small.octet"), "--name", "net", "-o", str(folder / "c")])
    assert done.exit_code == 0, done.output
    for how, path in (("library", folder / "c" / "libnet.so"), ("octet", folder / "small.octet")):
        found = json.loads(printed("loading.py", "--child", how, path, folder / "small.npz"))
        assert found.keys() == {"load", "run", "memory", "added"} and found["load"] > found["run"] > 0


def test_a_row_has_every_column(folder):
    head, _, row = printed("tables.py", "speed", folder, "small").splitlines()
    assert row.startswith("| small |") and row.count("|") == head.count("|")
