"""The one command for a machine with a GPU, on the emulated driver: a small folder, prepared and run in processes that
have neither TVM nor a compiler."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from octet.passes.lower.cuda import backend
from octet.targets.cuda.compiling.source import emulated_source
from octet.targets.cuda.emulator import write_library

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "run"))
import prepare

MAGIC = b"\x50\xed\x55\xba"
OPERANDS = """
extern "C" unsigned octet_operands(const char* name) {
  for (const auto& entry : entries)
    if (std::strcmp(entry.name, name) == 0) return entry.operands;
  return 0;
}
"""
PARTS = ("lib", "digits", "cases", "tiles", "networks")
STAGES = "machine,cases,replays,ours,tiles,profile"


class Emulating:
    """Modules for the emulated driver: libraries of kernels for this CPU."""

    def __init__(self, folder):
        self._folder, self._count = folder, 0

    def cubins(self, texts, arch):
        return [self.fatbin(text, arch)[0] for text in texts]

    def fatbin(self, text, arch):
        self._count += 1
        kernels = re.findall(r"__launch_bounds__\(\d+, 1\) (\w+)\((.*?)\) \{", text)
        made = emulated_source(text, {name: operands.count("void*") for name, operands in kernels}) + OPERANDS
        path = write_library(made, self._folder / f"module{self._count}.so")
        return MAGIC + str(path).encode() + b"\0", {}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """(prepared folder, driver)."""
    made = tmp_path_factory.mktemp("on_device")
    compiler = Emulating(made)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "compile_fatbin", compiler.fatbin)
        patch.setattr("octet.targets.cuda.compiling.compiler.find_compiler", lambda arch: None)
        prepare.prepare(made / "folder", "cuda-sm90", PARTS, compiler, small=True)
    text = emulated_source("", {}) + (HERE / "fake_driver.cpp").read_text()
    return made / "folder", write_library(text, made / "libcuda.so")


def run(folder, out, *arguments, **environment):
    """(exit status, results, what was printed)."""
    command = [
        sys.executable,
        "-S",
        "-c",
        _BARE,
        str(HERE / "on_device.py"),
        str(folder[0]),
        "--out",
        str(out),
        "--no-warm",
        *arguments,
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=os.environ | {"OCTET_LIBCUDA": str(folder[1]), "FAKE_CUDA_ARCH": "90"} | environment,
    )
    path = out / "results.jsonl"
    return (
        done.returncode,
        [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else [],
        done.stdout + done.stderr,
    )


# The parent needs the standard library alone.
_BARE = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"


@pytest.fixture(scope="module")
def done(folder, tmp_path_factory):
    return run(folder, tmp_path_factory.mktemp("out"), "--stages", STAGES, "--seconds", "4700")


def test_everything_is_right_on_the_emulated_driver(done):
    status, rows, said = done
    assert status == 0, said
    found = {stage: [row["item"] for row in rows if row["stage"] == stage] for stage in STAGES.split(",")}
    assert found["machine"] == ["machine", "digits"] and len(found["cases"]) == 2 and len(found["tiles"]) == 7
    assert len(found["replays"]) == 3 and len(found["ours"]) == len(found["profile"]) == 2
    assert all(row["us"] > 0 for row in rows if row["stage"] in ("tiles", "profile"))


def test_the_table_comes_last_and_is_short(done):
    said = done[2]
    assert (
        len(said) < 12_000
        and "digits: 4 answers are the CPU's bytes" in said
        and "0 failed" in said
        and "FAILED" not in said
    )


def test_a_wrong_answer_ends_it(folder, tmp_path):
    import shutil

    copy = shutil.copytree(folder[0], tmp_path / "folder")
    wanted = json.loads((copy / "digits.json").read_text())
    wanted["sha256"][1] = "0" * 64
    (copy / "digits.json").write_text(json.dumps(wanted))
    status, rows, said = run((copy, folder[1]), tmp_path / "out", "--stages", "machine,cases")
    assert (
        status == 1
        and "FAILED digits: 1 of 4 answers are not the CPU's" in said
        and {row["stage"] for row in rows} == {"machine"}
    )


def test_a_case_that_takes_its_process_down_costs_itself_only(folder, tmp_path):
    status, rows, said = run(folder, tmp_path, "--stages", "cases", FAKE_CUDA_FAULT="depthwise")
    assert status == 1 and ["depthwise" in row["item"] for row in rows if "error" in row] == [True], said
    assert [row["item"] for row in rows if row.get("right")] == ["00: pointwise"]


def test_what_is_no_folder_or_no_stage_is_refused(folder, tmp_path):
    assert run((tmp_path, folder[1]), tmp_path / "out")[0] == 2
    status, _, said = run(folder, tmp_path / "out", "--stages", "dance")
    assert status == 2 and said.strip() == "on_device: there is no stage dance"
