"""A small network, compiled for every x86-64-v3 machine, and commands that build what uses it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import octet
from octet.targets.standalone.export import ExportForm, export

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import small_network

TARGET = "x86-64-v3"  # Valgrind knows nothing newer.


@pytest.fixture(scope="session")
def small_hub(tmp_path_factory):
    folder = small_network.write(tmp_path_factory.mktemp("small"))
    return octet.quantize(
        octet.load_onnx(folder / "small.onnx"), folder / "calib.npz", octet.Recipe(self_check=True, io="int8")
    )


@pytest.fixture(scope="session")
def small(small_hub):
    """A package whose answers check themselves, with code for callers that quantise as well."""
    return octet.compile(small_hub, [TARGET], policy="int8")


@pytest.fixture(scope="session")
def exported(small, tmp_path_factory):
    """{form: folder} of the package, exported under the name small."""
    forms = {
        "shared": ExportForm(),
        "static": ExportForm(static=True),
        "mapped": ExportForm(mapped=True),
        "codes": ExportForm(codes=True),
    }
    folders = {}
    for name, form in forms.items():
        folders[name] = tmp_path_factory.mktemp("export") / name
        export(small, folders[name], "small", TARGET, form)
    return folders


@pytest.fixture(scope="session")
def run():
    """run(folder, *command): what a command that must succeed says."""

    def run(folder, *command, **environment):
        done = subprocess.run(
            [str(each) for each in command],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
            env=os.environ | environment,
        )
        assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout[-1000:]}{done.stderr[-3000:]}"
        return done.stdout

    return run
