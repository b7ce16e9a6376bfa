"""Files are written whole, through links, and streams are streams."""

import os
import subprocess
import sys
import threading
import time

import pytest

from octet.targets.errors import OctetError
from octet.targets.writing import check_writable, replace_atomically, write_atomically


def test_a_link_is_followed(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder/file")
    for data in (b"made", b"replaced"):  # At first the link points to nothing.
        check_writable(tmp_path / "link")
        write_atomically(tmp_path / "link", data)
        assert (tmp_path / "link").is_symlink() and (tmp_path / "folder" / "file").read_bytes() == data
    assert sorted(os.listdir(tmp_path / "folder")) == ["file"]


def test_links_that_lead_back_to_themselves_stay(tmp_path):
    (tmp_path / "one").symlink_to("other")
    (tmp_path / "other").symlink_to("one")
    for work in (check_writable, lambda path: write_atomically(path, b"made")):
        with pytest.raises(OctetError, match="one: cannot be written"):
            work(tmp_path / "one")
    assert (tmp_path / "one").is_symlink() and (tmp_path / "other").is_symlink()


def test_a_pipe_is_written_to(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    check_writable(tmp_path / "pipe")
    found = []
    reader = threading.Thread(target=lambda: found.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write_atomically(tmp_path / "pipe", b"x" * 100_000)
    reader.join()
    assert found == [b"x" * 100_000]


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
def test_a_descriptor_goes_on_where_it_is(tmp_path, name):
    """Standard output that is a file: neither the link in /dev nor what was printed before is lost."""
    if name == "link":
        name = str(tmp_path / "link")
        os.symlink("/dev/stdout", name)
    text = (
        "from octet.targets.writing import check_writable, write_atomically as w; print('before', flush=True); "
        f"check_writable({name!r}); w({name!r}, b'figures\\n'); print('after')"
    )
    with open(tmp_path / "out", "w") as out:
        subprocess.run([sys.executable, "-c", text], stdout=out, check=True)
    assert (tmp_path / "out").read_text() == "before\nfigures\nafter\n" and os.path.islink("/dev/stdout")
    assert (
        subprocess.run([sys.executable, "-c", text], stdout=subprocess.PIPE, check=True).stdout
        == b"before\nfigures\nafter\n"
    )


def test_a_device_that_is_full():
    check_writable("/dev/full")
    with pytest.raises(OctetError, match="No space left on device"):
        write_atomically("/dev/full", b"x")
    write_atomically("/dev/null", b"x")


def test_what_killed_runs_left_beside_it_is_removed(tmp_path):
    old, young, others = (
        tmp_path / ".out.octet.ab_cd012",
        tmp_path / ".out.octet.ab_cd013",
        (tmp_path / ".out.octet.ab_cd0123", tmp_path / "out.octet.ab_cd012"),
    )
    for file in (old, young, *others):
        file.write_bytes(b"half")
    for file in (old, *others):
        os.utime(file, (time.time() - 86400,) * 2)
    write_atomically(tmp_path / "out.octet", b"whole")
    assert not old.exists() and young.exists() and all(file.exists() for file in others)


@pytest.mark.parametrize("there", ["nothing", "file", "pipe", "link", "device", "loop"])
def test_what_is_replaced_is_neither_followed_nor_waited_for(tmp_path, there):
    path, elsewhere = tmp_path / "entry", tmp_path / "elsewhere"
    elsewhere.write_bytes(b"somebody's")
    if there == "file":
        os.link(elsewhere, path)
    elif there == "pipe":
        os.mkfifo(path)
    elif there != "nothing":
        path.symlink_to({"link": elsewhere, "device": "/dev/null", "loop": path}[there])
    replace_atomically(path, b"ours")
    assert path.read_bytes() == b"ours" and not path.is_symlink() and elsewhere.read_bytes() == b"somebody's"
    assert sorted(os.listdir(tmp_path)) == ["elsewhere", "entry"]


def test_a_folder_is_not_replaced(tmp_path):
    (tmp_path / "entry").mkdir()
    with pytest.raises(OctetError, match="cannot be written"):
        replace_atomically(tmp_path / "entry", b"ours")
    assert os.listdir(tmp_path) == ["entry"]
