"""Arrays by name as the bytes of an .npz. numpy.savez takes names as its keyword arguments: an array that is called
"file" replaces the file."""

import io
import os
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import numpy as np

from .reading.regular import open_regular
from .seams import JsonObject

_EPOCH = (1980, 1, 1, 0, 0, 0)
_MOST_AXES = 32
_SHOWN = 8  # Messages show the first extents of a shape that may be long.
_PIECE = 1 << 20  # Files are read and written in pieces of this size, in bytes.


@dataclass(frozen=True)
class Stacked:
    """An array of these rows, which are of one dtype and shape, as `npz_bytes` writes it: it is never held as a
    whole."""

    rows: Sequence[np.ndarray]

    @property
    def header(self) -> JsonObject:
        """What NumPy writes in front of the array of all rows."""
        return np.lib.format.header_data_from_array_1_0(self.rows[0]) | {
            "fortran_order": False,
            "shape": (len(self.rows), *self.rows[0].shape),
        }


def npz_bytes(arrays: Mapping[str, np.ndarray | Stacked], compress: bool = True) -> bytes:
    """An .npz with fixed time stamps: the same arrays make the same bytes. Beside them no more memory is taken than the
    file is long."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED) as file:
        for name, array in arrays.items():
            info = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            info.compress_type = file.compression
            rows = array.rows if isinstance(array, Stacked) else [np.asarray(array, order="C")]
            # A size that is known beforehand makes the fields of 64 bits where they are needed.
            info.file_size = sum(row.nbytes for row in rows)
            with file.open(info, "w") as item:
                if isinstance(array, Stacked):
                    np.lib.format.write_array_header_1_0(item, array.header)
                    for row in rows:
                        item.write(np.ascontiguousarray(row).data)
                else:
                    np.lib.format.write_array(item, rows[0], allow_pickle=False)
    return buffer.getvalue()


def names_of(source: str | os.PathLike[str] | IO[bytes]) -> list[str]:
    """The arrays that an .npz (a path or a binary file) holds. Raises OSError, or ValueError where it is none."""
    with _opened(source) as file:
        return [name.removesuffix(".npy") for name in file.namelist()]


def read_npz(
    source: str | os.PathLike[str] | IO[bytes],
    limit: int,
    names: Collection[str] | None = None,
    declared: Mapping[str, tuple[Any, Any]] = MappingProxyType({}),
) -> dict[str, np.ndarray]:
    """The arrays of an .npz, or those of `names`. limit: bytes of all that is read, asked of the file before anything
    is decompressed; declared: {name: (dtype, shape)} that an array must be of, compared before it is decompressed.
    Raises OSError, KeyError for a name that is not there, ValueError for everything else: no zip, larger than the
    limit, an array that is of another kind or not of its own length, objects (pickles)."""
    with _opened(source) as file:
        wanted = file.infolist() if names is None else [file.getinfo(f"{name}.npy") for name in names]
        if (size := sum(info.file_size for info in wanted)) > limit:
            raise ValueError(f"it declares {size} bytes, where at most {limit} can be meant")
        with _broken():
            return {
                (name := info.filename.removesuffix(".npy")): _array(file, info, declared.get(name)) for info in wanted
            }


def rows_of(source: Path, name: str, dtype: type, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """The rows (entries of the first axis) of one array of an .npz, one at a time and in an array of their own; it must
    be of this dtype and shape. Raises as `read_npz` does, of damage where it is met: nothing is sure before the last
    row was taken."""
    with (
        _opened(source) as file,
        _broken(),
        _member(file, file.getinfo(f"{name}.npy"), (dtype, shape)) as (stream, (_, fortran, _), size),
    ):
        if fortran and len(shape) > 1:
            raise ValueError(f"{name!r} is in Fortran order")
        for _ in range(shape[0]):
            yield _filled(stream, size // shape[0]).view(dtype).reshape(shape[1:])
        stream.read(1)  # The checksum is compared where the end is read.


_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    OverflowError,
    SyntaxError,
    TypeError,
)


@contextmanager
def _broken() -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise ValueError(str(error) or type(error).__name__) from error


@contextmanager
def _opened(source: str | os.PathLike[str] | IO[bytes]) -> Iterator[zipfile.ZipFile]:
    with (
        os.fdopen(open_regular(source), "rb")
        if isinstance(source, (str, os.PathLike))
        else nullcontext(source) as stream
    ):
        with _broken():
            file = zipfile.ZipFile(stream)
        with file:
            yield file


def read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """(shape, whether in Fortran order, dtype) that a .npy file declares, whose bytes come next. Raises ValueError for
    what NumPy does not write, and for objects (pickles)."""
    version = np.lib.format.read_magic(stream)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"npy format {version} is not known")
    try:
        shape, fortran, dtype = read(stream)
    except Exception as error:  # A header is Python, and its tokenizer raises what it likes.
        raise ValueError(f"it has no header of an array ({type(error).__name__})") from error
    if dtype.hasobject:
        raise ValueError("it holds Python objects (a pickle), which are not loaded")
    if len(shape) > _MOST_AXES or any(isinstance(extent, bool) or not 0 <= extent < 1 << 62 for extent in shape):
        raise ValueError(f"it declares extents {list(shape)[:_SHOWN]}")
    return shape, fortran, dtype


def _array(file: zipfile.ZipFile, info: zipfile.ZipInfo, declared: tuple[Any, Any] | None) -> np.ndarray:
    """One array, piece by piece into its own memory."""
    with _member(file, info, declared) as (stream, (shape, fortran, dtype), size):
        memory = _filled(stream, size)
        stream.read(1)  # The checksum is compared where the end is read.
    return memory.view(dtype).reshape(shape, order="F" if fortran else "C") if size else np.empty(shape, dtype)


@contextmanager
def _member(
    file: zipfile.ZipFile, info: zipfile.ZipInfo, declared: tuple[Any, Any] | None
) -> Iterator[tuple[IO[bytes], tuple[tuple[int, ...], bool, np.dtype], int]]:
    """(the stream behind a member's header, (shape, whether in Fortran order, dtype), bytes that follow): exactly as
    many as the header declares. declared: (dtype, shape) or None."""
    with file.open(info) as stream:
        shape, fortran, dtype = read_header(stream)
        size, held = prod(shape) * dtype.itemsize, info.file_size - stream.tell()
        if size != held:
            raise ValueError(f"it holds {held} bytes where {dtype} {list(shape)} is declared")
        if declared is not None and (dtype, shape) != (np.dtype(declared[0]), tuple(declared[1])):
            raise ValueError(
                f"{info.filename.removesuffix('.npy')!r} is {dtype} {list(shape)[:_SHOWN]} where "
                f"{np.dtype(declared[0])} {list(declared[1])} belongs"
            )
        yield stream, (shape, fortran, dtype), size


def _filled(stream: IO[bytes], size: int) -> np.ndarray:
    memory, filled = np.empty(size, np.uint8), 0
    while filled < size and (piece := stream.read(min(_PIECE, size - filled))):
        memory[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
        filled += len(piece)
    if filled < size:
        raise EOFError("it ends before its data do")
    return memory
