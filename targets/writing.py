"""Files of ours are written whole or not at all: beside the place, then renamed to it.

A link is followed: what it points to is written. Devices, pipes and descriptors of this process (/dev/stdout) are
streams: they are written to, never replaced."""

import errno
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import OctetError

_MOST_LINKS = 40  # Links are followed this often at most, as in the kernel.
_LEFT_OVER = 3600  # A temporary file that is older, in seconds, is of a run that was killed.


def home() -> Path:
    """The user's home folder. A uid that has none (a container with a random user) gets "/", as container runtimes set
    it: what cannot be written there is said there."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/")


def write_atomically(path: str | os.PathLike[str], data: bytes | memoryview, mode: int = 0o666) -> None:
    """Writes a file whole or not at all; to a stream, all of it. mode: of the file, less the umask. Raises OctetError
    (no folder, no space, no permission)."""
    with _one_line(path):
        if (descriptor := _descriptor(path)) is not None:
            _write(os.dup(descriptor), data)
            return
        place = _place(path)
        if place.is_dir():
            raise IsADirectoryError(21, "it is a folder")
        if _is_stream(place):
            _write(os.open(place, os.O_WRONLY), data)
            return
        _replace(place, data, mode)


def replace_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes as `write_atomically` does, in a folder where anybody may have put anything under that name: it is
    replaced, a link is not followed, a pipe not waited for."""
    with _one_line(path):
        _replace(Path(path), data, 0o666)


@contextmanager
def _one_line(path: str | os.PathLike[str]) -> Iterator[None]:
    """What a system call says becomes an OctetError that names the file."""
    try:
        yield
    except OSError as error:
        raise OctetError(
            f"{path}: cannot be written ({error.strerror or error}); name another output file, or make room and check "
            "the permissions"
        ) from error


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raises OctetError now if `path` cannot be written later: minutes of work should not end in a missing folder."""
    if _descriptor(path) is not None:
        return
    try:
        place = _place(path)
        if place.is_dir():
            raise OctetError(f"{path}: is a folder; name a file inside it")
        if _is_stream(place) and os.access(place, os.W_OK):
            return
        if not place.parent.is_dir():
            raise OctetError(f"{path}: the folder {place.parent} does not exist; create it first")
        with tempfile.TemporaryFile(dir=place.parent):
            pass
    except OSError as error:
        raise OctetError(f"{path}: cannot be written ({error.strerror or error}); name another output file") from error


def _place(path: str | os.PathLike[str]) -> Path:
    """What is written where `path` may be a link. Raises OSError for links that lead back to themselves."""
    place = Path(os.path.realpath(path))
    if place.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return place


def _descriptor(path: str | os.PathLike[str]) -> int | None:
    """The number of this process's descriptor that a path like /dev/stdout stands for: opened by name, a file behind it
    would be written from its beginning."""
    path = os.fspath(path)
    for _ in range(_MOST_LINKS):
        folder, name = os.path.split(path)
        folder = os.path.realpath(folder)
        if folder == f"/proc/{os.getpid()}/fd" and name.isdigit():
            return int(name)
        if not os.path.islink(os.path.join(folder, name)):
            return None
        path = os.path.join(folder, os.readlink(os.path.join(folder, name)))
    return None


def _is_stream(place: Path) -> bool:
    return place.exists() and not stat.S_ISREG(place.stat().st_mode)


def _write(descriptor: int, data: bytes | memoryview) -> None:
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _replace(place: Path, data: bytes | memoryview, mode: int) -> None:
    _remove_left_overs(place)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode & ~_umask())
        os.replace(temporary, place)
    except BaseException:  # Nothing half-written stays, not even after ^C.
        os.unlink(temporary)
        raise


def _remove_left_overs(place: Path) -> None:
    """What runs that were killed in the middle of writing this file left beside it."""
    ours = re.compile(rf"\.{re.escape(place.name)}\.[a-z0-9_]{{8}}")
    with os.scandir(place.parent) as entries:
        for entry in entries:
            if (
                ours.fullmatch(entry.name)
                and entry.is_file(follow_symlinks=False)
                and time.time() - entry.stat(follow_symlinks=False).st_mtime > _LEFT_OVER
            ):
                Path(entry.path).unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
