"""Packages that are damaged or not for this machine: one line, exit status 2, no file."""

import msgspec
import numpy as np
import pytest

from octet.targets import archive
from octet.targets.package import Package, read_package
from octet.targets.variant import Variant

COMMANDS = {
    "inspect": lambda package, folder: ["inspect", package],
    "run": lambda package, folder: [
        "run",
        package,
        "--input",
        folder.path / "x.npz",
        "--output",
        folder.path / "y.npz",
    ],
    "evaluate": lambda package, folder: ["evaluate", package, "--data", folder.path / "x.npz"],
    "bench": lambda package, folder: ["bench", package],
}


@pytest.fixture(params=COMMANDS)
def command(request, folder):
    np.savez(folder.path / "x.npz", x=np.ones((4, 16), np.float32), labels=np.arange(4))
    return lambda package: COMMANDS[request.param](package, folder)


def test_missing(folder, command):
    folder.refused(command(folder.path / "none.octet"), "none.octet", "No such file")


def test_another_kind_of_file(folder, command):
    path = folder.path / "model.octet"
    with open(folder.model, "rb") as file:
        path.write_bytes(file.read())
    folder.refused(command(path), "is not an octet package")


def test_another_zip(folder, command):
    path = folder.path / "data.octet"
    with open(folder.calib, "rb") as file:
        path.write_bytes(file.read())
    folder.refused(command(path), "not an octet package")


@pytest.mark.parametrize("kept", [0.2, 0.9, 0.999])
def test_truncated(folder, command, toy_package, kept):
    data = toy_package.read_bytes()
    toy_package.write_bytes(data[: int(kept * len(data))])
    folder.refused(command(toy_package), "toy.octet", "truncated or corrupt")


def test_corrupted(folder, command, toy_package):
    data = bytearray(toy_package.read_bytes())
    data[data.index(b"weights.bin") + 20] ^= 1  # The weights are stored as they are, behind their name.
    toy_package.write_bytes(data)
    folder.refused(command(toy_package), "toy.octet", "corrupt")


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda m: m.pop("inputs"), "inputs"),
        (lambda m: m["variants"][0].pop("steps"), "steps"),
        (lambda m: m.update(variants=[]), "variants"),
    ],
)
def test_a_manifest_of_another_version(folder, toy_package, change, said):
    contents = archive.read(toy_package)
    manifest, members = contents.manifest, contents.members
    values = msgspec.to_builtins(manifest)
    change(values)
    values = {key: value for key, value in values.items() if key not in ("format", "members")}
    archive.write(toy_package, archive.manifest_text(values, members, 1), members, ())
    folder.refused(COMMANDS["inspect"](toy_package, folder), "toy.octet", said, "compile it again")


def test_features_that_this_cpu_lacks(folder, toy_variant, toy_package):
    alien = Variant(**vars(toy_variant) | {"features": frozenset({"avx9000", "avx512f"})})
    read = read_package(toy_package)
    Package((alien,), read.info, read.selftest).save(toy_package)
    np.savez(folder.path / "x.npz", x=np.ones((4, 16), np.float32), labels=np.arange(4))
    for name in ("run", "evaluate", "bench"):
        folder.refused(COMMANDS[name](toy_package, folder), "avx9000", "--target")


def test_wrong_inputs_for_run(folder, toy_package):
    np.savez(folder.path / "x.npz", x=np.ones((4, 15), np.float32))
    folder.refused(COMMANDS["run"](toy_package, folder), "x.npz", "[samples, 16]")


def test_output_of_run(folder, toy_package):
    np.savez(folder.path / "x.npz", x=np.ones((4, 16), np.float32))
    folder.refused(
        ["run", toy_package, "--input", folder.path / "x.npz", "--output", folder.path / "no" / "y.npz"],
        "does not exist",
    )


def test_batch_of_a_package(folder, toy_package):
    folder.refused(["evaluate", toy_package, "--data", folder.val, "--batch", "4"], "--batch")


def test_a_package_is_not_compared_with_another_network(folder):
    """Same inputs, other weights: the figures would be of two networks."""
    from click.testing import CliRunner

    from octet.tools.main import main

    assert CliRunner().invoke(main, folder.compile("--no-cache")).exit_code == 0
    folder.save_network(operator="Tanh")
    folder.refused(["bench", folder.output, "--model", folder.model], "tiny.onnx", "was made from another network")
    against = ["--data", folder.val, "--against", "onnxruntime", "--model", folder.model, "--calib", folder.calib]
    pytest.importorskip("onnxruntime")
    folder.refused(["evaluate", folder.output, *against], "was made from another network")
