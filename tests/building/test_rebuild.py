"""A package is what its sources become, byte for byte, or octet rebuild says what differs."""

import json
import os
import subprocess
import sys
import threading

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from octet import api
from octet.targets import archive
from octet.targets.package import Package, read_package
from octet.tools.building.rebuilding import compared
from octet.tools.main import main

from ..bad_input.conftest import images, tiny_network


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rebuild")
    onnx.save(tiny_network(), folder / "tiny.onnx")
    np.savez(folder / "calib.npz", image=images())
    assert octet(folder, "calibrate", "tiny.onnx", "--calib", "calib.npz", "-o", "stats").exit_code == 0
    assert (
        octet(
            folder,
            "compile",
            "tiny.onnx",
            "--calib",
            "calib.npz",
            "-o",
            "a.octet",
            "--calibrator",
            "max",
            "--batch",
            2,
            "--threads",
            1,
            "--target",
            "x86-64-v3",
            "--target",
            "amx",
        ).exit_code
        == 0
    )
    assert octet(folder, "calibrate", "tiny.onnx", "--calib", "calib.npz", "-o", "stats", "--batch", 2).exit_code == 0
    return folder


def octet(folder, *arguments):
    files = ("tiny.onnx", "calib.npz", "stats", "a.octet", "b.octet", "found.json", "other.onnx")
    return CliRunner().invoke(main, [str(folder / each) if each in files else str(each) for each in arguments])


def test_from_statistics_and_other_threads_every_byte_is_the_same(made):
    found = octet(
        made,
        "rebuild",
        "a.octet",
        "--model",
        "tiny.onnx",
        "--statistics",
        "stats",
        "--threads",
        2,
        "--json",
        "found.json",
    )
    assert found.exit_code == 0, found.output
    told = json.loads((made / "found.json").read_text())
    assert told["different"] == {} and set(told["left_out"]) == {"info.latency", "info.threads", "info.variant"}
    assert set(told["same"]) == archive.read(made / "a.octet").members.keys()


def test_what_was_changed_is_named(made):
    read = read_package(made / "a.octet")
    package = Package(
        read.variants, {key: value for key, value in read.info.items() if key != "versions"}, read.selftest
    )
    contents = archive.read(made / "a.octet")
    assert compared(contents, package).different == {}
    members = {
        name: bytes(data[:-1]) + bytes([data[-1] ^ 1]) if name.endswith("amx/weights.bin") else data
        for name, data in contents.members.items()
    }
    changed = archive.Contents(
        contents.text.replace(b'"max"', b'"mse"'), contents.manifest, members | {"more": b"x"}, ()
    )
    size = len(members["variants/amx/weights.bin"])
    assert compared(changed, package).different == {
        "more": "is not made from these sources",
        "variants/amx/weights.bin": f"1 of {size} bytes differ",
        "manifest info": "differs in recipe",
    }


def test_other_sources_are_refused_or_differ(made):
    proto = onnx.load(made / "tiny.onnx")
    proto.graph.node[0].name = "renamed"
    onnx.save(proto, made / "other.onnx")
    for arguments, said in (
        (("--model", "other.onnx", "--statistics", "stats"), "another network"),
        (("--model", "tiny.onnx"), "--statistics STATS"),
        (("--model", "tiny.onnx", "--statistics", "calib.npz"), "no calibration statistics"),
    ):
        found = octet(made, "rebuild", "a.octet", *arguments)
        assert (
            found.exit_code == 2 and said in found.stderr and found.stderr.splitlines()[-1].startswith("octet: error")
        ), found.output
    np.savez(made / "calib.npz", image=images() * 2)
    assert (
        octet(made, "calibrate", "tiny.onnx", "--calib", "calib.npz", "-o", made / "doubled", "--batch", 2).exit_code
        == 0
    )
    found = octet(made, "rebuild", "a.octet", "--model", "tiny.onnx", "--statistics", made / "doubled")
    assert found.exit_code == 2 and "is not what these sources become" in found.stderr, found.output


def test_what_a_search_found_is_replayed(made):
    """From samples that are not at hand any more: the design and its ranges (what is learnt comes back in
    tests/sensitivity/test_derivation.py, whatever this network gains by)."""
    folder = made / "searched"
    folder.mkdir()
    onnx.save(tiny_network(), folder / "tiny.onnx")
    np.savez(folder / "calib.npz", image=images(32))
    options = (
        "--validate",
        folder / "calib.npz",
        "--metric",
        "sqnr",
        "--max-drop",
        "1e-9",
        "--derivation",
        folder / "found",
        "--target",
        "x86-64-v3",
        "--no-cache",
    )
    compiled = octet(folder, "compile", "tiny.onnx", "--calib", "calib.npz", "-o", "a.octet", *options)
    assert compiled.exit_code == 3, compiled.output
    (folder / "calib.npz").unlink()
    info = read_package(folder / "a.octet").info
    found = octet(folder, "rebuild", "a.octet", "--model", "tiny.onnx", "--statistics", folder / "found")
    assert found.exit_code == 0 and f"{folder / 'a.octet'}: is what" in found.stdout, found.output
    chosen = {name: info["recipe"][name] for name in ("calibrator", "activations", "per_tensor")}
    usual = {"calibrator": "mse", "activations": "affine", "per_tensor": []}
    assert any(info["repairs"].values()) or chosen != usual, "the search chose something"


def test_a_package_that_watches_itself(made):
    """Checksums are made again from weights; what answers usually clip from the samples, or it is said that nobody
    looked."""
    folder = made / "watched"
    folder.mkdir()
    onnx.save(tiny_network(), folder / "tiny.onnx")
    np.savez(folder / "calib.npz", image=images(32))
    options = ("--self-check", "--count-clips", "--derivation", folder / "found", "--target", "x86-64-v3", "--no-cache")
    assert octet(folder, "compile", "tiny.onnx", "--calib", "calib.npz", "-o", "a.octet", *options).exit_code == 0
    given = ("a.octet", "--model", "tiny.onnx", "--statistics", folder / "found")
    found = octet(folder, "rebuild", *given, "--json", "found.json")
    assert found.exit_code == 0, found.output
    assert "--calib" in json.loads((folder / "found.json").read_text())["left_out"]["manifest clips"]
    found = octet(folder, "rebuild", *given, "--calib", "calib.npz", "--json", "found.json")
    assert found.exit_code == 0, found.output
    assert "manifest clips" not in json.loads((folder / "found.json").read_text())["left_out"]
    np.savez(folder / "calib.npz", image=images(32) / 2)
    found = octet(folder, "rebuild", *given, "--calib", "calib.npz")
    assert found.exit_code == 2 and "(manifest variants)" in found.stderr, found.output
    found = octet(made, "rebuild", "a.octet", "--model", "tiny.onnx", "--statistics", "stats", "--calib", "calib.npz")
    assert found.exit_code == 2 and "no samples are needed" in found.stderr, found.output


def test_a_budget_is_for_a_search(made):
    """Neither statistics nor a network that comes quantised leave anything to search."""
    assert octet(made, "quantize", "tiny.onnx", "--calib", "calib.npz", "-o", "other.onnx").exit_code == 0
    for arguments, said in (
        (("tiny.onnx", "--calib", "stats", "--batch", 2), "statistics say nothing of a search"),
        (("other.onnx",), "leaves nothing open for a search"),
    ):
        found = octet(made, "compile", *arguments, "-o", "b.octet", "--budget", "5s")
        assert (
            found.exit_code == 2
            and "--budget 5s: " in found.stderr
            and said in found.stderr
            and not (made / "b.octet").exists()
        ), found.output


def test_a_derivation_is_of_samples(made):
    found = octet(
        made, "compile", "tiny.onnx", "--calib", "stats", "-o", "b.octet", "--batch", 2, "--derivation", made / "found"
    )
    assert (
        found.exit_code == 2 and "nothing is learnt from samples here" in found.stderr and not (made / "found").exists()
    ), found.output
    found = octet(
        made, "compile", "tiny.onnx", "--calib", "calib.npz", "-o", "b.octet", "--derivation", made / "tiny.onnx"
    )
    assert found.exit_code == 2 and "names the same file" in found.stderr, found.output


_BUILD = """
import sys
import octet
from octet.targets.package import Package
model = octet.load_onnx(sys.argv[1])
hub = octet.quantize(model, sys.argv[2], octet.Recipe(), threads=int(sys.argv[4]))
octet.compile(hub, targets=["x86-64-v3"], threads=int(sys.argv[4])).save(sys.argv[3])
"""


def test_builds_are_the_same_on_every_run_with_any_number_of_threads(made, tmp_path):
    """Processes that hash differently and use other numbers of threads, and two builds side by side in one process."""
    onnx.save(tiny_network(), tmp_path / "tiny.onnx")
    np.savez(tmp_path / "calib.npz", image=images(16))
    running = []
    for number, (seed, threads) in enumerate((("1", "1"), ("2", "2"))):
        environment = os.environ | {
            "PYTHONHASHSEED": seed,
            "TVM_NUM_THREADS": threads,
            "OMP_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
        }
        command = [
            sys.executable,
            "-c",
            _BUILD,
            tmp_path / "tiny.onnx",
            tmp_path / "calib.npz",
            tmp_path / f"{number}.octet",
            threads,
        ]
        running.append(subprocess.Popen(list(map(str, command)), env=environment))
    model = api.load_onnx(tmp_path / "tiny.onnx")

    def build(number):
        api.compile(api.quantize(model, str(tmp_path / "calib.npz"), threads=2), targets=["x86-64-v3"]).save(
            tmp_path / f"{number}.octet"
        )

    workers = [threading.Thread(target=build, args=(number,)) for number in (2, 3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [process.wait(300) for process in running] == [0, 0]
    first, *others = [archive.read(tmp_path / f"{number}.octet") for number in range(4)]
    for number, other in enumerate(others, 1):
        assert other.text == first.text, f"manifests of builds 0 and {number}"
        assert {name for name in first.members if other.members[name] != first.members[name]} == set(), (
            f"builds 0 and {number}"
        )
    assert len({(tmp_path / f"{number}.octet").read_bytes() for number in range(4)}) == 1
