"""Arrays by name as the bytes of an .npz. numpy.savez takes names as its keyword arguments: an array that is called "file" replaces the file."""

import io
import os
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import contextmanager, nullcontext
from math import prod
from types import MappingProxyType

import numpy as np

from .reading.regular import open_regular

_EPOCH = (1980, 1, 1, 0, 0, 0)
_MOST_AXES = 32
_SHOWN = 8  # extents in a message
_PIECE = 1 << 20  # bytes


def npz_bytes(arrays: dict[str, np.ndarray], compress: bool = True) -> bytes:
    """An .npz with fixed time stamps: the same arrays make the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED) as file:
        for name, array in arrays.items():
            item = io.BytesIO()
            np.lib.format.write_array(item, np.asarray(array, order="C"), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            info.compress_type = file.compression
            file.writestr(info, item.getvalue())
    return buffer.getvalue()


def names_of(source) -> list[str]:
    """The arrays that an .npz (a path or a binary file) holds. Raises OSError, or ValueError where it is none."""
    with _opened(source) as file:
        return [name.removesuffix(".npy") for name in file.namelist()]


def read_npz(source, limit: int, names=None, declared: Mapping[str, tuple] = MappingProxyType({})) -> dict[str, np.ndarray]:
    """The arrays of an .npz, or those of `names`. limit: bytes of all that is read, asked of the file before anything is decompressed; declared: {name: (dtype, shape)} that an
    array must be of, compared before it is decompressed. Raises OSError, KeyError for a name that is not there, ValueError for everything else: no zip, larger than the limit, an
    array that is of another kind or not of its own length, objects (pickles)."""
    with _opened(source) as file:
        wanted = file.infolist() if names is None else [file.getinfo(f"{name}.npy") for name in names]
        if (size := sum(info.file_size for info in wanted)) > limit:
            raise ValueError(f"it declares {size} bytes, where at most {limit} can be meant")
        try:
            return {(name := info.filename.removesuffix(".npy")): _array(file, info, declared.get(name)) for info in wanted}
        except _BROKEN as error:
            raise ValueError(str(error) or type(error).__name__) from error


_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OverflowError, SyntaxError, TypeError)


@contextmanager
def _opened(source):
    with os.fdopen(open_regular(source), "rb") if isinstance(source, (str, os.PathLike)) else nullcontext(source) as stream:
        try:
            file = zipfile.ZipFile(stream)
        except _BROKEN as error:
            raise ValueError(str(error) or type(error).__name__) from error
        with file:
            yield file


def read_header(stream) -> tuple[tuple[int, ...], bool, np.dtype]:
    """(shape, whether in Fortran order, dtype) that a .npy file declares, whose bytes come next. Raises ValueError for what NumPy does not write, and for objects (pickles)."""
    version = np.lib.format.read_magic(stream)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"npy format {version} is not known")
    try:
        shape, fortran, dtype = read(stream)
    except Exception as error:  # a header is Python, and its tokenizer raises what it likes
        raise ValueError(f"it has no header of an array ({type(error).__name__})") from error
    if dtype.hasobject:
        raise ValueError("it holds Python objects (a pickle), which are not loaded")
    if len(shape) > _MOST_AXES or any(isinstance(extent, bool) or not 0 <= extent < 1 << 62 for extent in shape):
        raise ValueError(f"it declares extents {list(shape)[:_SHOWN]}")
    return shape, fortran, dtype


def _array(file, info, declared):
    """One array, piece by piece into its own memory; its length must be exactly what its header declares."""
    with file.open(info) as stream:
        shape, fortran, dtype = read_header(stream)
        size, held = prod(shape) * dtype.itemsize, info.file_size - stream.tell()
        if size != held:
            raise ValueError(f"it holds {held} bytes where {dtype} {list(shape)} is declared")
        if declared is not None and (dtype, shape) != (np.dtype(declared[0]), tuple(declared[1])):
            raise ValueError(f"{info.filename.removesuffix('.npy')!r} is {dtype} {list(shape)[:_SHOWN]} where {np.dtype(declared[0])} {list(declared[1])} belongs")
        memory, filled = np.empty(size, np.uint8), 0
        while piece := stream.read(_PIECE):  # to the end, where the checksum is compared
            memory[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
            filled += len(piece)
    return memory.view(dtype).reshape(shape, order="F" if fortran else "C") if size else np.empty(shape, dtype)
