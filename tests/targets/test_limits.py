"""Declared sizes are compared with limits before anything is read, and options change the limits."""

import os
import tracemalloc
import zipfile

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from octet.passes.frontend.onnx import load_onnx
from octet.targets.errors import DataError, OctetError
from octet.targets.package import load
from octet.targets.reading.limits import LIMITS, VARIABLE, limit, parse_limits, with_limits
from octet.targets.reading.regular import open_regular, read_regular
from octet.targets.samples import load_samples
from octet.tools.main import main

from ..bad_input.conftest import images, tiny_network


def test_options_are_parsed(monkeypatch):
    assert parse_limits(["labels=8G", "nodes=200000"]) == {"labels": 8 << 30, "nodes": 200_000}
    for text in ("labels", "labels=", "labels=-1", "labels=1.5G", "labels=8g", "nothing=1", "=1", "labels=1=2"):
        with pytest.raises(OctetError, match="write NAME=VALUE"):
            parse_limits([text])
    assert limit("labels") == LIMITS["labels"].value
    monkeypatch.setenv(VARIABLE, "labels=3K, nodes=5")
    assert (limit("labels"), limit("nodes"), limit("weight")) == (3 << 10, 5, LIMITS["weight"].value)
    with with_limits({"labels": 7}):
        assert (limit("labels"), limit("nodes")) == (7, 5)
    assert limit("labels") == 3 << 10
    monkeypatch.setenv(VARIABLE, "labels")
    with pytest.raises(OctetError, match=VARIABLE):
        limit("labels")


def bomb(path, name, shape, dtype="<f4"):
    """An .npz whose array `name` declares `shape`, is stored in a thousandth of that, and holds nothing but zeros."""
    header = str({"descr": dtype, "fortran_order": False, "shape": shape}).ljust(117).encode() + b"\n"
    size = int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file,
        file.open(f"{name}.npy", "w", force_zip64=True) as stream,
    ):
        stream.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
        while size > 0:
            stream.write(bytes(min(size, 1 << 20)))
            size -= 1 << 20
    return str(path)


@pytest.fixture
def model(tmp_path):
    onnx.save(tiny_network(), tmp_path / "tiny.onnx")
    return load_onnx(tmp_path / "tiny.onnx")


def test_labels_are_measured_before_they_are_unpacked(tmp_path, model):
    np.savez(tmp_path / "d.npz", image=images())
    path = bomb(tmp_path / "d.npz", "labels", (8, 1 << 20))
    assert load_samples(path, model)["labels"].shape == (8, 1 << 20)
    with (
        with_limits({"labels": (32 << 20) - 1}),
        pytest.raises(
            DataError,
            match=(
                "d.npz: declares 33554432 bytes of labels, at most 33554431 are read: allow more with --limit "
                "labels=VALUE"
            ),
        ),
    ):
        load_samples(path, model)


def test_samples_are_measured_before_they_are_unpacked(tmp_path, model):
    path = bomb(tmp_path / "d.npz", "image", (4000, 3, 8, 8))
    assert len(load_samples(path, model)["image"]) == 4000
    with (
        with_limits({"unpacked": 1 << 20}),
        pytest.raises(
            DataError,
            match=(
                "declares 3072000 bytes of compressed arrays, at most 1048576 are read: save it with np.savez, or "
                "allow more"
            ),
        ),
    ):
        load_samples(path, model)


@pytest.mark.parametrize("name, shape", [("picture", (64 << 20,)), ("labels", (9, 16 << 20)), ("image", (64 << 20,))])
def test_what_the_model_does_not_take_is_not_unpacked(tmp_path, model, monkeypatch, name, shape):
    if name != "image":
        np.savez(tmp_path / "d.npz", image=images())
    path = bomb(tmp_path / "d.npz", name, shape, "|u1")
    monkeypatch.setattr("octet.targets.stored_array._member", lambda *arguments: pytest.fail("read"))
    with pytest.raises(DataError):
        load_samples(path, model)


def test_limits_of_a_model_and_a_package(tmp_path, toy_package):
    onnx.save(tiny_network(), tmp_path / "tiny.onnx")
    for name, value in (("weight", 400), ("input", 100), ("nodes", 3)):
        with with_limits({name: value}), pytest.raises(OctetError, match=f"--limit {name}=VALUE"):
            load_onnx(tmp_path / "tiny.onnx")
    with with_limits({"package": 1000}), pytest.raises(OctetError, match="--limit package=VALUE"):
        load(toy_package)


def test_a_command_takes_the_option(tmp_path):
    onnx.save(tiny_network(), tmp_path / "tiny.onnx")
    np.savez_compressed(tmp_path / "d.npz", image=images())
    command = [
        "calibrate",
        str(tmp_path / "tiny.onnx"),
        "--calib",
        str(tmp_path / "d.npz"),
        "-o",
        str(tmp_path / "stats"),
        "--no-cache",
    ]
    made = CliRunner().invoke(main, [*command, "--limit", "unpacked=1K"])
    assert (
        made.exit_code == 2
        and "--limit unpacked=VALUE" in made.stderr.splitlines()[-1]
        and not (tmp_path / "stats").exists()
    )
    made = CliRunner().invoke(main, [*command, "--limit", "unpacked=plenty"])
    assert made.exit_code == 2 and "--limit unpacked=plenty: is no limit" in made.stderr
    assert CliRunner().invoke(main, [*command, "--limit", "unpacked=1G"]).exit_code == 0


def test_what_is_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for name in (tmp_path / "pipe", tmp_path, "/dev/zero", tmp_path / "loop", "a\0b"):
        with pytest.raises(OSError):
            open_regular(name)
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")
    assert read_regular(tmp_path / "link", 3) == b"abc"
    with pytest.raises(ValueError, match="of 3 bytes, where at most 2"):
        read_regular(tmp_path / "file", 2)


def test_a_small_file_takes_little_memory_whatever_the_limit(tmp_path):
    """Asking for a limit's bytes takes them: a process that may have 2 GB could read nothing."""
    (tmp_path / "small").write_bytes(b"small")
    tracemalloc.start()
    try:
        assert read_regular(tmp_path / "small", 1 << 36) == b"small"
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
