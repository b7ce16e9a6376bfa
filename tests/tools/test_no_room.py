"""A full disk, folders that cannot be written or executed, and a user without a home: one line, or no trouble at
all."""

import ctypes
import errno
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from octet.passes.calibrate.cache import cache_place
from octet.passes.lower.codegen import compile_library
from octet.targets import writing
from octet.targets.errors import OctetError
from octet.targets.native import link
from octet.targets.native.interface import Interface
from octet.targets.package import load
from octet.targets.writing import home
from octet.tools.errors import status_of
from octet.tools.main import main
from octet.tuning.place import place_of

from ..bad_input.conftest import images, tiny_network

X = np.ones((4, 16), np.float32)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_no_room_is_no_bug(number, capsys):
    outer = RuntimeError("it failed")
    outer.__cause__ = OSError(number, os.strerror(number), "/tmp/x")
    for error in (
        OSError(number, os.strerror(number), "/tmp/x"),
        outer,
        RuntimeError(f"/usr/bin/ld: final link failed: {os.strerror(number)}\ncollect2: error"),
        FileNotFoundError(2, "No usable temporary directory found"),
    ):
        assert status_of(error) == 2
        said = capsys.readouterr().err
        assert said.startswith("octet: error: ") and said.count("\n") == 1 and "TMPDIR" in said
    assert status_of(OSError(errno.EIO, "Input/output error")) == 1


def test_nothing_half_written_at_whichever_write_the_disk_is_full(tmp_path, monkeypatch):
    """Every command's outputs go through one function; it fails at each of its calls in turn."""
    onnx.save(tiny_network(), tmp_path / "tiny.onnx")
    np.savez(tmp_path / "calib.npz", image=images())
    before = sorted(os.listdir(tmp_path))

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for name, command in (
        ("fsync", ("calibrate", "-o", "stats")),
        ("replace", ("calibrate", "-o", "stats")),
        ("chmod", ("quantize", "-o", "q.onnx")),
        ("fsync", ("calibrate", "-o", "stats", "--cache", str(tmp_path))),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(writing.os, name, full)
            arguments = [
                command[0],
                str(tmp_path / "tiny.onnx"),
                "--calib",
                str(tmp_path / "calib.npz"),
                "-o",
                str(tmp_path / command[2]),
                *command[3:],
            ]
            made = CliRunner().invoke(main, arguments)
        assert made.exit_code == 2 and "No space left on device" in made.stderr.splitlines()[-1], (name, made.output)
        assert sorted(os.listdir(tmp_path)) == before, name


def test_a_package_is_loaded_without_a_folder_for_its_code(toy_package, monkeypatch):
    """No byte of a library is written to a folder: nothing in the temporary one is more than a link, and there may be
    none."""
    seen, load_library = [], ctypes.CDLL
    monkeypatch.setattr(ctypes, "CDLL", lambda path: (seen.append(os.readlink(path)), load_library(path))[1])
    assert (load(toy_package).run({"x": X})["y"] == 2 + np.arange(16)).all()
    assert seen and all(target.startswith("/proc/self/fd/") for target in seen)

    def none():
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    assert (load(toy_package).run({"x": X})["y"] == 2 + np.arange(16)).all()


def test_two_libraries_are_two(toy_package, toy_variant):
    """The loader takes a library of the same name for the one that it has: sessions that live side by side, and one
    after the other, are of their own packages."""
    count = len(os.listdir("/proc/self/fd"))
    with load(toy_package) as first, load(toy_package) as second:
        assert first.run({"x": X})["y"].tobytes() == second.run({"x": X})["y"].tobytes()
        assert len(os.listdir("/proc/self/fd")) <= count + 1, "a library keeps no descriptor"


def test_without_room_for_the_linker_nothing_is_built(monkeypatch):
    monkeypatch.setattr(link, "_ROOM", 1 << 60)
    for build in (
        lambda: link.link(None, [Interface((), (), 64, 64)], platform.machine()),
        lambda: compile_library(None, None),
    ):
        with pytest.raises(OctetError, match="TMPDIR"):
            build()


@pytest.mark.parametrize(
    ("compiler", "said"),
    [("no-such-compiler", "no-such-compiler: cannot be run"), ("false", "false: cannot build the kernels' library")],
)
def test_without_a_compiler_nothing_is_built(monkeypatch, compiler, said):
    monkeypatch.setenv("CC", compiler)
    link._runtime.cache_clear()
    with pytest.raises(OctetError, match=said) as error:
        link.link(lambda path: Path(path).touch(), [Interface((), (), 64, 64)], platform.machine())
    assert "CC" in str(error.value) and "\n" not in str(error.value)


def test_a_uid_without_a_home(monkeypatch):
    code = (
        "import os, pwd; os.environ.pop('HOME', None); pwd.getpwuid = lambda uid: {}[uid]; from octet.targets.writing "
        "import home; print(home()); import octet.passes"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "/"
    )
    monkeypatch.setattr(
        "octet.targets.writing.Path.home",
        lambda: (_ for _ in ()).throw(RuntimeError("Could not determine home directory.")),
    )
    for name in ("OCTET_CACHE", "XDG_CACHE_HOME", "XDG_STATE_HOME", "OCTET_TUNING_DB"):
        monkeypatch.delenv(name, raising=False)
    assert str(home()) == "/" and str(cache_place()) == "/.cache/octet"
    monkeypatch.setattr(
        "octet.tuning.place.Path.mkdir",
        lambda *_, **more: (_ for _ in ()).throw(PermissionError(errno.EACCES, "Permission denied")),
    )
    with pytest.raises(OctetError, match="name a file or a URL with --db"):
        place_of(None)
