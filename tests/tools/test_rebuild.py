"""A package is what its sources become, byte for byte, or octet rebuild says what differs."""

import json

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

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
    assert octet(folder, "compile", "tiny.onnx", "--calib", "calib.npz", "-o", "a.octet", "--calibrator", "max", "--batch", 2, "--threads", 1, "--target", "x86-64-v3", "--target", "amx").exit_code == 0
    assert octet(folder, "calibrate", "tiny.onnx", "--calib", "calib.npz", "-o", "stats", "--batch", 2).exit_code == 0
    return folder


def octet(folder, *arguments):
    files = ("tiny.onnx", "calib.npz", "stats", "a.octet", "b.octet", "found.json", "other.onnx")
    return CliRunner().invoke(main, [str(folder / each) if each in files else str(each) for each in arguments])


def test_from_statistics_and_other_threads_every_byte_is_the_same(made):
    found = octet(made, "rebuild", "a.octet", "--model", "tiny.onnx", "--statistics", "stats", "--threads", 2, "--json", "found.json")
    assert found.exit_code == 0, found.output
    told = json.loads((made / "found.json").read_text())
    assert told["different"] == {} and set(told["left_out"]) == {"info.latency", "info.threads", "info.variant"}
    assert set(told["same"]) == archive.read(made / "a.octet").members.keys()


def test_what_was_changed_is_named(made):
    read = read_package(made / "a.octet")
    package = Package(read.variants, {key: value for key, value in read.info.items() if key != "versions"}, read.selftest)
    contents = archive.read(made / "a.octet")
    assert compared(contents, package).different == {}
    members = {name: data[:-1] + bytes([data[-1] ^ 1]) if name.endswith("amx/weights.bin") else data for name, data in contents.members.items()}
    changed = archive.Contents(contents.text.replace(b'"max"', b'"mse"'), contents.manifest, members | {"more": b"x"}, ())
    size = len(members["variants/amx/weights.bin"])
    assert compared(changed, package).different == {"more": "is not made from these sources", "variants/amx/weights.bin": f"1 of {size} bytes differ", "manifest info": "differs in recipe"}


def test_other_sources_are_refused_or_differ(made):
    proto = onnx.load(made / "tiny.onnx")
    proto.graph.node[0].name = "renamed"
    onnx.save(proto, made / "other.onnx")
    for arguments, said in ((("--model", "other.onnx", "--statistics", "stats"), "another network"), (("--model", "tiny.onnx"), "--statistics STATS"), (("--model", "tiny.onnx", "--statistics", "calib.npz"), "no calibration statistics")):
        found = octet(made, "rebuild", "a.octet", *arguments)
        assert found.exit_code == 2 and said in found.stderr and found.stderr.splitlines()[-1].startswith("octet: error"), found.output
    np.savez(made / "calib.npz", image=images() * 2)
    assert octet(made, "calibrate", "tiny.onnx", "--calib", "calib.npz", "-o", made / "doubled", "--batch", 2).exit_code == 0
    found = octet(made, "rebuild", "a.octet", "--model", "tiny.onnx", "--statistics", made / "doubled")
    assert found.exit_code == 2 and "is not what these sources become" in found.stderr, found.output
