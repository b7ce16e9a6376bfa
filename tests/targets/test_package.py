import json
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octet.targets import archive, writing
from octet.targets.errors import OctetError, PackageError
from octet.targets.package import Package, failed_outputs, load, read_package
from octet.targets.variant import Variant

INFO = {"model": {"name": "toy"}, "recipe": {}, "operators": {}}


def test_round_trip(toy_package, toy_variant):
    read = read_package(toy_package)
    variant = read.variants[0]
    assert (variant.library, variant.steps, variant.inputs, variant.outputs) == (toy_variant.library, toy_variant.steps, toy_variant.inputs, toy_variant.outputs)
    assert variant.weights.tobytes() == toy_variant.weights.tobytes()
    assert variant.features == toy_variant.features and read.info["model"]["name"] == "toy"
    x = np.ones((4, 16), np.float32)
    assert (load(toy_package).run({"x": x})["y"] == 2 + np.arange(16)).all()


def test_same_content_same_bytes(toy_variant, tmp_path):
    for name in "ab":
        Package((toy_variant,), INFO, {"input/x": np.zeros(3)}).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_self_test_passes_and_fails(toy_package):
    read = read_package(toy_package)
    assert failed_outputs(read.session(), read.selftest) == ()
    wrong = read.selftest | {"output/y": read.selftest["output/y"] + 1}
    assert failed_outputs(read.session(), wrong) == ("y",)


def test_best_variant_by_rank_and_features(toy_variant):
    def of(target, rank, features):
        return Variant(**vars(toy_variant) | {"target": target, "rank": rank, "features": frozenset(features)})

    package = Package((of("low", 1, ()), of("high", 2, ()), of("alien", 3, ("avx9000",))), INFO)
    assert package.best().target == "high"
    assert package.best("low").target == "low"
    with pytest.raises(PackageError, match="holds low, high, alien"):
        package.best("other")
    with pytest.raises(PackageError, match="alien needs avx9000"):
        package.best("alien")
    with pytest.raises(PackageError, match="avx9000"):
        Package(package.variants[2:], INFO).best()


def damaged(path, change):
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)
    with pytest.raises(PackageError) as error:
        read_package(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)
    return str(error.value)


def test_truncated(toy_package):
    assert "truncated or corrupt" in damaged(toy_package, lambda data: data.__delitem__(slice(len(data) // 2, None)))


def test_not_a_package(toy_package):
    assert "not an octet package" in damaged(toy_package, lambda data: data.__setitem__(slice(0, 4), b"ONNX"))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(position=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_no_flipped_byte_goes_unnoticed(position, flip, toy_variant, tmp_path_factory):
    """A damaged file is refused, or (a byte of the zip that means nothing, like a time stamp) everything read from it is what was written."""
    path = tmp_path_factory.mktemp("flip") / "toy.octet"
    Package((toy_variant,), INFO).save(path)
    whole = archive.read(path)
    data = bytearray(path.read_bytes())
    data[int(position * len(data))] ^= flip
    path.write_bytes(data)
    try:
        assert archive.read(path) == whole
    except PackageError as error:
        assert "\n" not in str(error)


def rezipped(path, change):
    """The package's members, changed, zipped again with a manifest digest that matches."""
    import hashlib

    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as file:
        file.comment = b"octet package, manifest sha256 " + hashlib.sha256(members["manifest.json"]).hexdigest().encode()
        for name, data in members.items():
            file.writestr(name, data)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: m.update({"more.txt": b"x"}), "more.txt is not in the manifest"),
        (lambda m: m.pop("selftest.npz"), "selftest.npz is missing"),
        (lambda m: m.update({"selftest.npz": b"x"}), "does not match its SHA-256"),
        (lambda m: m.update({"manifest.json": json.dumps(json.loads(m["manifest.json"]) | {"format": 99}).encode()}), "package format 99"),
    ],
)
def test_members_and_format(toy_package, change, said):
    rezipped(toy_package, change)
    with pytest.raises(PackageError, match=said):
        read_package(toy_package)


def test_failed_write_leaves_the_old_file(toy_package, monkeypatch):
    before = toy_package.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing.os, "fsync", full)
    with pytest.raises(OctetError, match="No space left on device"):
        writing.write_atomically(toy_package, b"half")
    assert toy_package.read_bytes() == before
    assert [entry.name for entry in toy_package.parent.iterdir()] == ["toy.octet"]


def test_no_folder_and_a_folder(tmp_path):
    for path in (tmp_path / "none" / "a.octet", tmp_path):
        with pytest.raises(OctetError):
            writing.check_writable(path)
        with pytest.raises(OctetError):
            writing.write_atomically(path, b"")
