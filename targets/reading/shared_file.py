"""A file that several arrays read, and that closes behind the last of them."""

import os
import tempfile


class SharedFile:
    """A descriptor that is closed with its last user."""

    def __init__(self, descriptor: int, name: str) -> None:
        self.descriptor, self.name = descriptor, name

    def read(self, offset: int, size: int, into: memoryview) -> None:
        """Fills the first `size` bytes of `into`. Raises OSError where the file ends before."""
        done = 0
        while done < size:
            count = os.preadv(self.descriptor, [into[done:size]], offset + done)
            if count == 0:
                raise OSError(5, f"{self.name} became shorter while it was read")
            done += count

    def write(self, offset: int, data: bytes) -> int:
        """Writes all of `data` and returns its length in bytes."""
        done = 0
        while done < len(data):
            done += os.pwrite(self.descriptor, memoryview(data)[done:], offset + done)
        return done

    def __del__(self) -> None:
        os.close(self.descriptor)


def temporary(name: str) -> SharedFile:
    """One without a name in any folder, which is gone with its last user. name: what errors call it."""
    with tempfile.TemporaryFile(prefix="octet.") as made:
        return SharedFile(os.dup(made.fileno()), name)
