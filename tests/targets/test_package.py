"""Packages as files: the same bytes for the same content, verified whole, damage refused in one line."""

import json
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from octet.targets import archive, writing
from octet.targets.errors import OctetError, PackageError
from octet.targets.manifest.checks import manifest_of as manifest_of_values
from octet.targets.npz import npz_bytes
from octet.targets.opening import open_session
from octet.targets.package import Package, failed_outputs, load, read_package
from octet.targets.variant import Step, Variant

from ..json_edits import edits

INFO = {
    "model": {"name": "toy", "sha256": "0" * 64, "batch": 4},
    "recipe": {},
    "operators": {"int8": 0, "float": 0, "reasons": []},
}


def test_round_trip(toy_package, toy_variant):
    read = read_package(toy_package)
    variant = read.variants[0]
    assert (variant.library, variant.steps, variant.inputs, variant.outputs) == (
        toy_variant.library,
        toy_variant.steps,
        toy_variant.inputs,
        toy_variant.outputs,
    )
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
    """A damaged file is refused, or (a byte of the zip that means nothing, like a time stamp) everything read from it
    is what was written."""
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
        file.comment = (
            b"octet package, manifest sha256 " + hashlib.sha256(members["manifest.json"]).hexdigest().encode()
        )
        for name, data in members.items():
            file.writestr(name, data)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: m.update({"more.txt": b"x"}), "more.txt is not in the manifest"),
        (lambda m: m.pop("selftest.npz"), "selftest.npz is missing"),
        (lambda m: m.update({"selftest.npz": bytes(len(m["selftest.npz"]))}), "does not match its SHA-256"),
        (lambda m: m.update({"selftest.npz": b"x"}), "is of 1 bytes, the manifest says"),
        (
            lambda m: m.update({"manifest.json": json.dumps(json.loads(m["manifest.json"]) | {"format": 99}).encode()}),
            "package format 99",
        ),
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


def manifest_of(path):
    with zipfile.ZipFile(path) as file:
        return json.loads(file.read("manifest.json"))


def test_edited_manifests_are_refused_or_harmless(toy_package, tmp_path):
    """Digests that match, words that do not: one line, or a package that runs as it did."""
    manifest, whole, x = manifest_of(toy_package), toy_package.read_bytes(), np.ones((4, 16), np.float32)
    refused = held = 0
    for done, made in edits(manifest):
        toy_package.write_bytes(whole)
        rezipped(toy_package, lambda members: members.update({"manifest.json": json.dumps(made).encode()}))
        try:
            with load(toy_package) as session:
                assert [list(value.shape) for value in session.run({session.inputs[0].name: x}).values()] == [[4, 16]]
            held += 1
        except OctetError as error:
            refused += 1
            assert str(error).isprintable() and len(str(error)) < 2000, done
    assert refused > 500 and held > 100, (refused, held)


@pytest.mark.parametrize(
    "text, said",
    [(b"[" * 100_000, "deep"), (b"{}", ""), (b"null", ""), (b"", ""), (b"\xff\xfe", ""), (b'{"format": 1e999}', "")],
)
def test_manifests_that_are_none(toy_package, text, said):
    rezipped(toy_package, lambda members: members.update({"manifest.json": text}))
    with pytest.raises(PackageError, match=said or "manifest"):
        read_package(toy_package)


def relabelled(path, name, data, **entry):
    """The package with another member, whose size and digest the manifest says."""
    import hashlib

    def change(members):
        manifest = json.loads(members["manifest.json"])
        members[name] = data
        manifest["members"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} | entry
        members["manifest.json"] = json.dumps(manifest).encode()

    rezipped(path, change)


def test_self_tests_are_of_the_signature(toy_package):
    good = read_package(toy_package).selftest
    bad = [
        {},
        good | {"input/z": np.zeros(3)},
        {"input/x": good["input/x"]},
        good | {"input/x": np.zeros((4, 1 << 22), np.float32)},
        good | {"output/y": good["output/y"].astype(np.float64)},
    ]
    for arrays in bad:
        relabelled(toy_package, "selftest.npz", npz_bytes(arrays))
        with pytest.raises(PackageError, match="self-test"):
            read_package(toy_package)
    relabelled(toy_package, "selftest.npz", b"no zip")
    with pytest.raises(PackageError, match="self-test cannot be read"):
        read_package(toy_package)


@pytest.mark.parametrize("cut", [10, 60, 64, 0.1, 0.5, 0.9, 0.999])
def test_a_library_that_is_cut_is_not_loaded(toy_package, toy_variant, cut):
    """Its digest may match: pages behind the end of a file are mapped, and reading one ends the process."""
    library = toy_variant.library
    relabelled(
        toy_package,
        f"variants/{toy_variant.target}/kernels.so",
        library[: cut if isinstance(cut, int) else int(cut * len(library))],
    )
    with pytest.raises(PackageError, match="the library"):
        load(toy_package)


def test_a_library_of_something_else_is_not_loaded(toy_package, toy_variant):
    relabelled(toy_package, f"variants/{toy_variant.target}/kernels.so", b"\x7fELF" + bytes(1000))
    with pytest.raises(PackageError, match="no shared object"):
        load(toy_package)


def test_sizes_are_looked_at_before_anything_is_read(toy_package, toy_variant):
    relabelled(toy_package, "selftest.npz", b"x" * 100, bytes=1 << 39)
    with pytest.raises(PackageError, match="selftest.npz is of 100 bytes, the manifest says 549755813888"):
        read_package(toy_package)
    with pytest.raises(PackageError, match="this machine has"):
        open_session(Variant(**vars(toy_variant) | {"arena_bytes": 1 << 40}))


def launch(**changes):
    return {
        "function": "kernel",
        "grid": [1, 1, 1],
        "block": 32,
        "shared": 0,
        "operands": [["weights", 0], ["arena", 64], ["input", 0], ["output", 0]],
    } | changes


@pytest.mark.parametrize(
    "changes",
    [
        {"grid": [1 << 40, 1, 1]},
        {"grid": [1, 65536, 1]},
        {"grid": [0, 1, 1]},
        {"grid": [1, 1]},
        {"block": 0},
        {"block": 1025},
        {"shared": 1 << 20},
        {"shared": -1},
        {"function": "a\nb"},
        {"function": ""},
        {"operands": [["weights", 1 << 50]]},
        {"operands": [["arena", 256]]},
        {"operands": [["arena", -1]]},
        {"operands": [["input", 1]]},
        {"operands": [["output", 7]]},
        {"operands": [["heap", 0]]},
        {"operands": [["input"]]},
    ],
)
def test_launches_are_checked_before_a_driver_sees_them(toy_variant, toy_package, changes):
    manifest = manifest_of(toy_package)
    variant = manifest["variants"][0]
    variant |= {"kind": "cuda", "launches": [launch(), launch()]}
    assert manifest_of_values(manifest).variants[0].launches[1].launch.grid == (1, 1, 1)
    variant["launches"] = [launch(), launch(**changes)]
    with pytest.raises(ValueError):
        manifest_of_values(manifest)


def test_names_that_would_control_a_terminal_are_escaped_where_they_are_written(toy_variant, tmp_path):
    steps = tuple(Step(**vars(step) | {"layer": "a\x1b[2Jb"}) for step in toy_variant.steps)
    Package((Variant(**vars(toy_variant) | {"steps": steps}),), INFO | {"notes": ["\x9b31m"]}).save(
        tmp_path / "a.octet"
    )
    read = read_package(tmp_path / "a.octet")
    assert read.variants[0].steps[0].layer == "a\\x1b[2Jb" and read.info["notes"] == ["\\x9b31m"]
