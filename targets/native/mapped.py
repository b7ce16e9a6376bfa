"""A shared object in memory -> a path that the loader takes."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import PackageError
from .elf.check import check_library


@contextmanager
def mapped(image: bytes) -> Iterator[str]:
    """Yields a path under which the library can be loaded, once. Raises PackageError for what is no library, and where
    loading fails with an OSError or a RuntimeError."""
    try:
        check_library(image)
    except ValueError as error:
        raise PackageError(f"the kernels cannot be loaded: the library {error}; compile the package again") from None
    try:
        # The file lies in memory, where neither a full disk nor a folder without execution is in its way; the link is a
        # name that no other library of the process has.
        with (
            os.fdopen(os.memfd_create("kernels.so"), "wb") as file,
            tempfile.TemporaryDirectory(prefix="octet-", dir=_folder_for_a_link()) as folder,
        ):
            file.write(image)
            file.flush()
            path = Path(folder) / "kernels.so"
            path.symlink_to(f"/proc/self/fd/{file.fileno()}")
            yield str(path)  # Once it is loaded, the file may go.
    except (OSError, RuntimeError) as error:
        raise PackageError(
            f"the kernels cannot be loaded: {last_line(error)}; set TMPDIR to a folder that can be written, and see "
            "that memory is left"
        ) from error


def _folder_for_a_link() -> str:
    """Nothing is stored in it. Where no folder for temporary files can be written, there is often one in memory."""
    try:
        return tempfile.gettempdir()
    except OSError:
        return "/dev/shm"


def last_line(error: object) -> str:
    """The last line of what a library said, which names the error; the class of one that says nothing."""
    return str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
