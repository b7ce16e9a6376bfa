"""Places where nothing can be written: a full disk at every write, a root that is read-only, a temporary folder from
which nothing may be run, a user without a home.

Each in a mount namespace of its own, which is gone with its process; skipped where this machine does not allow one."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from .conftest import LONG, amount

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 1800
_ALONE = ["unshare", "--mount", "--propagation", "private"]
_BEGIN = """
import json, os, subprocess, sys
from pathlib import Path
folder, place = Path(sys.argv[1]), Path(sys.argv[2])

def mount(*arguments):
    subprocess.run(["mount", *map(str, arguments)], check=True)

from click.testing import CliRunner
from octet.tools.main import main

def octet(*arguments):
    made = CliRunner().invoke(main, [str(one) for one in arguments])
    if made.exit_code not in (0, 2):
        raise SystemExit(f"{arguments}: {made.exit_code} {made.output[-2000:]} {made.exception!r}")
    errors = [line for line in made.stderr.splitlines() if line.startswith("octet: error")]
    assert len(errors) == (made.exit_code == 2), made.stderr
    return made

def held(made, code=0, said=""):
    assert made.exit_code == code and said in made.output, made.output
"""
_FULL = (
    _BEGIN
    + """
import tempfile
mount("-t", "tmpfs", "-o", "size=64m", "none", place)
COMMANDS = {
    "statistics": ("calibrate", folder / "tiny.onnx", "--calib", folder / "calib.npz", "-o", place / "out", "--cache", place / "cache"),
    "network": ("quantize", folder / "tiny.onnx", "--calib", folder / "calib.npz", "-o", place / "out", "--no-cache"),
    "package": ("compile", folder / "tiny.onnx", "--calib", folder / "calib.npz", "-o", place / "out", "--no-cache", "--json", place / "json"),
    "answers": ("run", folder / "tiny.octet", "--input", folder / "calib.npz", "--output", place / "out"),
}
os.environ["TMPDIR"] = tempfile.tempdir = str(place)
tried = refused = 0
for name, command in COMMANDS.items():
    assert octet(*command).exit_code == 0
    whole = {path.relative_to(place) for path in place.rglob("*")}
    used = int(subprocess.run(["du", "-sb", place], capture_output=True, text=True, check=True).stdout.split()[0])
    sizes = sorted({4096 * round(1 + step * (used + (1 << 20)) / 4096 / STEPS) for step in range(STEPS)})
    for size in sizes:
        subprocess.run(f"umount -l {place}", shell=True, check=True)
        mount("-t", "tmpfs", "-o", f"size={size}", "none", place)
        made = octet(*command)
        tried, refused = tried + 1, refused + made.exit_code // 2
        left = {path.relative_to(place) for path in place.rglob("*") if path.is_file()}
        assert left <= whole | {Path("json")} and (made.exit_code == 0) == ((place / "out").exists()), (name, size, left, made.output)
        assert made.exit_code == 0 or "No space left" in made.stderr or "TMPDIR" in made.stderr, made.stderr
    subprocess.run(f"umount -l {place}", shell=True, check=True)
    mount("-t", "tmpfs", "-o", "size=64m", "none", place)
print(json.dumps({"tried": tried, "refused": refused}))
"""
)
_FULL_DATABASE = (
    _BEGIN
    + """
from contextlib import closing
from octet.targets.errors import OctetError
from octet.targets.registry import find
from octet.tuning.database import Database, key_of
from octet.tuning.records import Record, Trial
tried = refused = 0
spec = find("avx512vnni")

def fill(database):
    global tried
    for number in range(100000):
        tried += 1
        key = key_of(f"{number}", spec)
        database.add_trials(key, [Trial({"number": number}, 0.5)] * 50)
        database.put(Record(key, {}, spec.name, {"number": number}, {}, 1e-5, 1e-5, 0.5, 0.0, ""))
        yield number

def trials():
    try:
        with closing(Database(str(place / "records.db"))) as database:
            return database.count_trials()
    except OctetError:  # no room to open it
        return 0

for size in SIZES:
    mount("-t", "tmpfs", "-o", f"size={size}", "none", place)
    written = []
    try:
        with closing(Database(str(place / "records.db"))) as database:
            for number in fill(database):
                written.append(number)
    except OctetError as error:
        assert "\\n" not in str(error) and ("full" in str(error) or "I/O" in str(error)), error
        refused += 1
    if written:
        with closing(Database(str(place / "records.db"))) as database:
            kept = {record.schedule["number"] for record in database.records()}
        assert kept >= set(written) and len(kept) <= len(written) + 1, (size, len(kept), len(written))
    if size in TUNED:
        before = trials()
        made = octet("tune", folder / "tiny.onnx", "--calib", folder / "calib.npz", "--db", place / "records.db", "--trials", "1")
        assert made.exit_code == 2 or trials() > before, made.output  # a few rows may fit behind what fills it
    subprocess.run(f"umount -l {place}", shell=True, check=True)
assert refused == len(SIZES)
print(json.dumps({"tried": tried, "refused": refused}))
"""
)
_READ_ONLY = (
    _BEGIN
    + """
mount("-t", "tmpfs", "none", place)
for one in ("/tmp", "/var/tmp"):  # /dev/shm stays, as where a container has such a root
    if Path(one).is_dir() and not place.is_relative_to(one) and not folder.is_relative_to(one):
        mount("--bind", one, one)
        mount("-o", "bind,remount,ro", one)
mount("-o", "bind,remount,ro", "/") if os.path.ismount("/") else None
os.environ.update(HOME="/", OCTET_CACHE="/cache", XDG_STATE_HOME="/state")
held(octet("run", folder / "tiny.octet", "--input", folder / "calib.npz", "--output", place / "answers.npz"))
held(octet("inspect", folder / "tiny.octet", "--self-test"))
held(octet("run", folder / "tiny.octet", "--input", folder / "calib.npz", "--output", "/answers.npz"), 2, "cannot be written")
os.environ["TMPDIR"] = str(place)
import tempfile
tempfile.tempdir = None
held(octet("compile", folder / "tiny.onnx", "--calib", folder / "calib.npz", "-o", place / "out.octet"), 0, "not cached")
print("held")
"""
)
_NO_EXEC = (
    _BEGIN
    + """
import tempfile
mount("-t", "tmpfs", "-o", "noexec", "none", place)
os.environ["TMPDIR"] = tempfile.tempdir = str(place)
held(octet("run", folder / "tiny.octet", "--input", folder / "calib.npz", "--output", place / "answers.npz"))
held(octet("compile", folder / "tiny.onnx", "--calib", folder / "calib.npz", "-o", place / "out.octet", "--no-cache"))
held(octet("inspect", place / "out.octet", "--self-test"))
print("held")
"""
)
_NO_HOME = (
    _BEGIN
    + """
import importlib, pwd
for name in ("asyncio", "octet.tools.tuning.run_session", "octet.tuning.fleet", "octet.tuning.tune"):
    importlib.import_module(name)
held(octet("compile", folder / "tiny.onnx", "--calib", folder / "calib.npz", "-o", folder / "first.octet"))  # everything is imported while it may be read
uid = next(number for number in range(54321, 60000) if number not in {entry.pw_uid for entry in pwd.getpwall()})
mount("-t", "tmpfs", "-o", "mode=777", "none", place)
os.environ["TMPDIR"] = str(place)
for name in ("HOME", "OCTET_CACHE", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
    os.environ.pop(name, None)
import tempfile
tempfile.tempdir = None
os.setgroups([])
os.setgid(uid)
os.setuid(uid)
held(octet("compile", folder / "tiny.onnx", "--calib", folder / "calib.npz", "-o", place / "out.octet"), 0, "not cached")
held(octet("run", place / "out.octet", "--input", folder / "calib.npz", "--output", place / "answers.npz"))
held(octet("tune", folder / "tiny.onnx", "--calib", folder / "calib.npz", "--trials", "1"), 2, "--db")
print("held")
"""
)


def alone(script, *arguments) -> str:
    """What a script says that is run as a Python program in a mount namespace of its own."""
    try:
        allowed = subprocess.run([*_ALONE, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        allowed = False
    if not allowed:
        pytest.skip("no mount namespace for this user")
    made = subprocess.run(
        [*_ALONE, sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True, timeout=SECONDS
    )
    assert made.returncode == 0, made.stderr[-3000:]
    return made.stdout.strip().splitlines()[-1]


@pytest.fixture
def place(tmp_path):
    made = tmp_path / "place"
    made.mkdir()
    return made


def test_a_full_disk_at_every_write(small, place):
    """Disks of every size from nothing to more than enough: whole files or none, nothing beside them, one line."""
    said = json.loads(alone(f"STEPS = {amount(3, 60)}\n{_FULL}", small, place))
    assert 0 < said["refused"] < said["tried"], said


def test_a_database_of_records_that_fills_the_disk(small, place):
    """What was recorded before stays, what does not fit is one line."""
    sizes = [
        4096 * pages for pages in ((1, 2, 3, 5, 8, 9, 12, 16, 20, 33, 64, 100, 150, 256) if LONG else (1, 10, 64, 256))
    ]
    tuned = sizes if LONG else sizes[:1]
    said = json.loads(alone(f"SIZES = {sizes}\nTUNED = {tuned}\n{_FULL_DATABASE}", small, place))
    assert said["refused"] == len(sizes) and said["tried"] > len(sizes)


def test_a_root_that_is_read_only(small, place):
    assert alone(_READ_ONLY, small, place) == "held"


def test_a_temporary_folder_from_which_nothing_may_be_run(small, place):
    assert alone(_NO_EXEC, small, place) == "held"


def test_a_user_without_a_home(small):
    with (
        tempfile.TemporaryDirectory() as name
    ):  # Pytest's folders are for this user alone, and every session of it makes them so again.
        folder = Path(name)
        shutil.copytree(small, folder / "small")
        (folder / "place").mkdir()
        for made in (folder, folder / "small"):
            made.chmod(0o755)
        assert alone(_NO_HOME, folder / "small", folder / "place") == "held"
