"""Arrays that stay in their file: read by rows when asked for, so that memory does not grow with the number of samples.

An .npz is a zip of .npy members. A stored member (np.savez) lies in the file as it is, and is read with pread: no page
of it is mapped, the process stays small. A compressed member (np.savez_compressed) and one in Fortran order are written
out once, row by row, to an unlinked temporary file."""

import hashlib
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import IO, Any

import numpy as np

from .npz import read_header
from .reading.regular import open_regular
from .reading.shared_file import SharedFile, temporary

_MOST_MEMBERS = 4096  # An .npz with more members is refused.
_PIECE = 1 << 22  # What is read whole is read in pieces of this size, in bytes.
# The zip format, section 4.3.7, puts a local header's lengths at these bytes.
_LOCAL_HEADER, _NAME_LENGTH, _EXTRA_LENGTH = 30, 26, 28


class StoredArray:
    """Rows of an array in a file. shape, dtype, ndim, len() and array[rows] as of an ndarray; `array[rows]` reads,
    `select` only chooses.

    rows: the chosen rows, ascending or not; None for all. converted: the dtype that reading gives. digest: of what the
    array holds, once somebody has read it all (samples.py). checksum: (CRC-32 in front of the data, CRC-32 of the
    whole) where the file says so."""

    def __init__(
        self,
        file: SharedFile,
        offset: int,
        shape: tuple[int, ...],
        dtype: np.dtype,
        rows: np.ndarray | None = None,
        converted: np.dtype | None = None,
    ) -> None:
        self._file, self._offset, self._shape, self._stored, self._rows = file, offset, shape, dtype, rows
        self.digest: str | None = None
        self.checksum: tuple[int, int] | None = None
        self.dtype = np.dtype(converted if converted is not None else dtype)
        self.shape = shape if rows is None else (len(rows), *shape[1:])
        self._row_bytes = prod(shape[1:]) * dtype.itemsize

    ndim = property(lambda self: len(self.shape))
    nbytes = property(lambda self: prod(self.shape) * self.dtype.itemsize)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Rows of the array, read from the file. rows: an index, a slice, indices or a mask. A new array, aligned for
        kernels."""
        if isinstance(rows, (int, np.integer)):
            return self._read(np.array([range(len(self))[rows]]))[0]
        return self._read(np.arange(len(self))[rows])

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        found = self[:]
        return found if dtype is None else found.astype(dtype, copy=False)

    def select(self, rows: Any) -> "StoredArray":
        """The chosen rows as another StoredArray, which reads nothing yet."""
        chosen = np.arange(len(self))[rows]
        found = StoredArray(
            self._file,
            self._offset,
            self._shape,
            self._stored,
            chosen if self._rows is None else self._rows[chosen],
            self.dtype,
        )
        if self.digest is not None:
            found.digest = hashlib.sha256(self.digest.encode() + chosen.tobytes()).hexdigest()
        return found

    def astype(self, dtype: Any) -> "StoredArray":
        """The array with its values converted as they are read. What the file's checksum is of is no longer what one
        reads."""
        found = StoredArray(self._file, self._offset, self._shape, self._stored, self._rows, dtype)
        found.digest, found.checksum = self.digest, self.checksum if found.dtype == self.dtype else None
        return found

    def pieces(self) -> Iterator[tuple[int, np.ndarray]]:
        """(first row, array) of all rows in order, a few megabytes at a time."""
        step = max(_PIECE // max(self._row_bytes, 1), 1)
        for start in range(0, len(self), step):
            yield start, self[start : start + step]

    def _read(self, rows: np.ndarray) -> np.ndarray:
        rows = rows if self._rows is None else self._rows[rows]
        found = _aligned((len(rows), *self._shape[1:]), self._stored)
        view, size = found.reshape(-1).view(np.uint8).data, self._row_bytes
        breaks = np.flatnonzero(np.diff(rows) != 1) + 1
        for start, stop in zip([0, *breaks], [*breaks, len(rows)]) if size else ():
            if stop > start:
                self._file.read(
                    self._offset + int(rows[start]) * size, (stop - start) * size, view[start * size : stop * size]
                )
        with np.errstate(over="ignore"):
            return found if found.dtype == self.dtype else found.astype(self.dtype)


Array = np.ndarray | StoredArray  # Samples lie on the first axis.
SampleArrays = Mapping[str, Array]  # Inputs are told by their names.


def _aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    raw = np.empty(prod(shape) * dtype.itemsize + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + prod(shape) * dtype.itemsize].view(dtype).reshape(shape)


def select(array: StoredArray | np.ndarray, rows: Any) -> StoredArray | np.ndarray:
    """The rows of an array, without reading those of a StoredArray."""
    return array.select(rows) if isinstance(array, StoredArray) else array[rows]


@dataclass(frozen=True)
class Declared:
    """What the header of an array says, of which nothing is read yet. spooled: whether reading it means to write it out
    first."""

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool
    begin: int  # The array's bytes begin behind the header, at this byte.
    spooled: bool

    ndim = property(lambda self: len(self.shape))
    nbytes = property(lambda self: prod(self.shape) * self.dtype.itemsize)

    def __len__(self) -> int:
        return self.shape[0]


def open_npz(
    path: str | os.PathLike[str],
    rows: Callable[[int], np.ndarray] | None = None,
    check: Callable[[Mapping[str, Declared]], None] = lambda declared: None,
) -> dict[str, StoredArray | np.ndarray]:
    """{name: array} of an .npz. rows: function of a length that gives the rows wanted (of the labels too), an index
    array; nothing else is read.
    check: called with all headers before any array is read or decompressed; it raises what it has to say.
    Raises OSError, ValueError or zipfile.BadZipFile where it is none; objects (pickles) are refused."""
    file = SharedFile(open_regular(path), str(path))
    with os.fdopen(os.dup(file.descriptor), "rb") as stream, zipfile.ZipFile(stream) as archive:
        members = _members(archive)
        declared = {name: _declared(archive, member) for name, member in members.items()}
        check(declared)
        return {name: _member(archive, member, declared[name], file, rows) for name, member in members.items()}


def shapes_of_npz(path: str | os.PathLike[str]) -> dict[str, tuple[int, ...]]:
    """{name: shape} of an .npz, from its headers alone; nothing where it cannot be read (who reads the arrays says
    why)."""
    try:
        with os.fdopen(open_regular(path), "rb") as stream, zipfile.ZipFile(stream) as archive:
            return {
                name: _declared(archive, member).shape
                for name, member in _members(archive).items()
                if member.filename.endswith(".npy")
            }
    except UNREADABLE:
        return {}


UNREADABLE = (
    OSError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    KeyError,
    RuntimeError,
    NotImplementedError,
    OverflowError,
    MemoryError,
    SyntaxError,
    TypeError,
)


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """{name of the array: member}."""
    listed = archive.infolist()
    if len(listed) > _MOST_MEMBERS:
        raise ValueError(f"it has {len(listed)} members, where at most {_MOST_MEMBERS} can be meant")
    members = {member.filename.removesuffix(".npy"): member for member in listed}
    if len(members) < len(listed):
        names = [member.filename.removesuffix(".npy") for member in listed]
        raise ValueError(f"array {next(name for name in names if names.count(name) > 1)!a} is there twice")
    return members


def _declared(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Declared:
    with archive.open(member) as stream:
        packed = member.compress_type != zipfile.ZIP_STORED
        try:
            shape, fortran, dtype = read_header(stream)
        except ValueError:
            if member.filename.endswith(".npy"):
                raise
            return Declared((), np.dtype("S1"), False, 0, False)  # A file of another kind is no input's.
        found = Declared(shape, dtype, fortran, stream.tell(), bool(shape) and (packed or fortran and len(shape) > 1))
    if found.begin + found.nbytes != member.file_size:
        raise ValueError(
            f"{member.filename} should hold {found.nbytes} bytes and holds {member.file_size - found.begin}"
        )
    return found


def _member(
    archive: zipfile.ZipFile,
    member: zipfile.ZipInfo,
    declared: Declared,
    file: SharedFile,
    rows: Callable[[int], np.ndarray] | None,
) -> StoredArray | np.ndarray:
    shape, dtype, begin = declared.shape, declared.dtype, declared.begin
    if not begin:
        return np.zeros((), dtype)
    with archive.open(member) as stream:
        stream.read(begin)
        if not shape or not dtype.itemsize:
            return np.frombuffer(stream.read(declared.nbytes), dtype).reshape(shape)
        chosen, checksum = rows(shape[0]) if rows is not None else None, None
        if member.compress_type != zipfile.ZIP_STORED:
            file, offset = _unpacked(stream, declared.nbytes, member.filename), 0
        else:
            offset = _data_offset(file, member)
            header = bytearray(begin)
            file.read(offset, begin, memoryview(header))
            offset, checksum = offset + begin, (zlib.crc32(header), member.CRC)
    if declared.fortran and len(shape) > 1:
        file, offset, checksum = _transposed(file, offset, shape, dtype, member.filename), 0, None
    found = StoredArray(file, offset, shape, dtype, chosen)
    found.checksum = checksum if chosen is None else None
    return found


def _data_offset(file: SharedFile, member: zipfile.ZipInfo) -> int:
    header = bytearray(_LOCAL_HEADER)
    file.read(member.header_offset, _LOCAL_HEADER, memoryview(header))
    lengths = (int.from_bytes(header[at : at + 2], "little") for at in (_NAME_LENGTH, _EXTRA_LENGTH))
    return member.header_offset + _LOCAL_HEADER + sum(lengths)


def _unpacked(stream: IO[bytes], size: int, name: str) -> SharedFile:
    file, done = temporary(name), 0
    while done < size:
        piece = stream.read(min(_PIECE, size - done))
        if not piece:
            raise EOFError(f"{name} ends early")
        done += file.write(done, piece)
    stream.read(1)  # At the end zipfile compares the checksum.
    return file


def _transposed(source: SharedFile, offset: int, shape: tuple[int, ...], dtype: np.dtype, name: str) -> SharedFile:
    """The bytes in C order. Columns (all axes but the first, last one slowest) of a Fortran-ordered array are
    contiguous: block by block of rows."""
    file, columns = temporary(name), prod(shape[1:])
    step = max(_PIECE // max(columns * dtype.itemsize, 1), 1)
    for start in range(0, shape[0], step):
        count = min(step, shape[0] - start)
        block = np.empty((columns, count), dtype)
        for column in range(columns):
            source.read(
                offset + (column * shape[0] + start) * dtype.itemsize,
                count * dtype.itemsize,
                memoryview(block[column].view(np.uint8)),
            )
        rows = block.reshape(*reversed(shape[1:]), count).transpose()
        file.write(start * columns * dtype.itemsize, np.ascontiguousarray(rows).tobytes())
    return file
