"""What CONTRIBUTING.md says to do when an answer is wrong, done as it stands there, on a small network."""

import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from octet.tools.main import main

from .. import small_network

TEXT = (Path(__file__).resolve().parents[2] / "CONTRIBUTING.md").read_text()
STEPS = re.search(r"^## When an answer is wrong\n([\s\S]*?)^## ", TEXT, re.M)[1]
LINES = re.findall(r"`((?:OCTET_DEBUG=1 )?octet [^`]+)`", STEPS)
DISASSEMBLE = re.search(r"`(unzip [^`]+)`", STEPS)[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = small_network.write(tmp_path_factory.mktemp("wrong"), calibration=8, validation=1)
    (made / "small.onnx").rename(made / "model.onnx")
    (made / "calib.npz").rename(made / "data.npz")
    return made


def test_every_command(folder, monkeypatch):
    monkeypatch.chdir(folder)
    told = {}
    for line in LINES:
        *variables, rest = line.partition("octet ")[::2]
        monkeypatch.setenv("OCTET_DEBUG", "1" if "OCTET_DEBUG=1 " in variables else "")
        done = CliRunner().invoke(main, rest.split(), catch_exceptions=False)
        assert done.exit_code == 0, f"{line}\n{done.output}"
        told[line] = done.output
    assert len(list((folder / "ir").glob("*.py"))) > 20, "a file for every pass"
    (kernels,) = (output for line, output in told.items() if "--kernels" in line)
    assert "conv2d" in kernels
    if shutil.which("unzip") and shutil.which("objdump") and os.uname().machine == "x86_64":
        (target,) = {name.split("/")[1] for name in zipfile.ZipFile("out.octet").namelist() if "/kernels.so" in name}
        line = re.sub(r"variants/\w+/", f"variants/{target}/", DISASSEMBLE)
        code = subprocess.run(line, shell=True, check=True, capture_output=True, text=True).stdout
        assert re.search(r"^[0-9a-f]+ <kernel\w*>:$", code, re.M)
