"""A file is a regular file: a pipe would be waited for without end, a device be read without end."""

import os
import stat
from os import PathLike


def open_regular(path: str | PathLike[str]) -> int:
    """A descriptor for reading. Raises OSError, also for whatever is no regular file (links to one are followed)."""
    try:
        # With this flag opening a pipe does not wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except ValueError as error:  # A path with a null character raises ValueError.
        raise OSError(22, str(error)) from None
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(22, "it is no regular file")


def read_regular(path: str | PathLike[str], most: int) -> bytes:
    """All that a file holds when it is opened. Raises OSError, or ValueError where it is larger than `most` bytes."""
    with os.fdopen(open_regular(path), "rb") as file:
        if (size := os.fstat(file.fileno()).st_size) > most:
            raise ValueError(f"it is of {size} bytes, where at most {most} can be meant")
        # Memory for what is asked for is taken first, and `most` may be more than a process is allowed.
        return file.read(size)
