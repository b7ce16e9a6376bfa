"""A folder of files, written whole or not at all."""

import os
import tempfile
from collections.abc import Collection
from pathlib import Path

from ..errors import OctetError

_PREFIX = ".octet-export-"


def check_folder(path: str | os.PathLike[str], ours: Collection[str]) -> None:
    """Raises OctetError now where `write_folder` could not write later. ours: names of files that may be replaced."""
    place = Path(os.path.realpath(path))
    try:
        if place.is_dir():
            foreign = sorted(name for name in os.listdir(place) if name not in ours or not (place / name).is_file())
            if foreign:
                raise OctetError(
                    f"{path}: holds {foreign[0]}, which is no file of this export; name a new or an empty folder"
                )
        elif place.exists():
            raise OctetError(f"{path}: is a file; name a new or an empty folder")
        elif not place.parent.is_dir():
            raise OctetError(f"{path}: the folder {place.parent} does not exist; create it first")
        with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=place if place.is_dir() else place.parent):
            pass
    except OSError as error:
        raise _cannot(path, error) from error


def write_folder(path: str | os.PathLike[str], files: dict[str, bytes], ours: Collection[str]) -> None:
    """Makes a folder with these files. One that exists must hold only `ours`, of which those that are no longer meant
    are removed. Raises OctetError."""
    check_folder(path, ours)
    place = Path(os.path.realpath(path))
    there = place.is_dir()
    try:
        with tempfile.TemporaryDirectory(
            prefix=_PREFIX, dir=place if there else place.parent, ignore_cleanup_errors=True
        ) as temporary:
            staged = Path(temporary) / "made"
            staged.mkdir()
            for name, data in files.items():
                with open(staged / name, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            if not there:
                os.rename(staged, place)
                return
            for name in files:
                os.replace(staged / name, place / name)
            for name in set(ours) - files.keys():
                (place / name).unlink(missing_ok=True)
    except OSError as error:
        raise _cannot(path, error) from error


def _cannot(path: str | os.PathLike[str], error: OSError) -> OctetError:
    return OctetError(
        f"{path}: cannot be written ({error.strerror or error}); name another folder, or make room and check the "
        "permissions"
    )
