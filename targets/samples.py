"""Calibration and validation data: streamed from an .npz, checked against a model's signature before anything expensive
starts.

`model` is whatever has `inputs`, a tuple of TensorSpec: a Model, a Session, a Package."""

import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from zipfile import BadZipFile

import numpy as np

from .batches import batch_of, sample_shape, takes_samples, takes_whole
from .errors import DataError
from .reading.limits import limit, more
from .reading.regular import open_regular
from .schema import printable
from .stored_array import UNREADABLE, Array, StoredArray, open_npz

if TYPE_CHECKING:
    import os

    from .stored_array import Declared
    from .variant import TensorSpec


LABELS = "labels"
OF = LABELS + "/"  # A name such as labels/OUTPUT gives the labels of that output.
_PIECE = 1 << 20  # Arrays are looked at in pieces of this size, in bytes.
_Array = TypeVar("_Array", bound=Array)


class TakesInputs(Protocol):
    """What has the inputs of a network: an imported model, a package, a session."""

    @property
    def inputs(self) -> "Sequence[TensorSpec]":
        """The inputs, in their order."""


_LONGEST, _FEW = 200, 8  # A message repeats this much of a text, and this many names of a file.


def load_samples(
    path: "str | os.PathLike[str]",
    model: TakesInputs,
    rows: Callable[[int], np.ndarray] | None = None,
    others: bool = False,
) -> dict[str, Array]:
    """The arrays of the .npz file `path`: one per model input, which stay in the file and are read by rows, and
    `labels` if it holds them.
    Everything is read once, to check it. rows: function of the number of samples that gives those wanted (indices);
    nothing else is read.
    others: whether it may hold other arrays, too. Raises DataError."""
    wanted = f"give an .npz with one array per model input ({_names(model)})"
    try:
        if _starts_as_array(path):
            raise DataError(
                f"{path}: is a single array, not an .npz: save it with np.savez(path, {model.inputs[0].name}=array)"
            )
        return check_samples(
            model, open_npz(path, rows, partial(_check_declared, model, str(path), others)), str(path), others
        )
    except DataError:
        raise
    except PermissionError:
        raise DataError(f"{path}: permission denied: make the file readable") from None
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{path}: no such file: {wanted}") from None
    except UNREADABLE as error:
        if Path(path).is_dir():
            raise DataError(f"{path}: is a folder: {wanted}") from None
        raise DataError(f"{path}: is not a readable .npz ({_line(error)}): save it with np.savez") from None


def _starts_as_array(path: "str | os.PathLike[str]") -> bool:
    with open(open_regular(path), "rb") as file:
        return file.read(6) == b"\x93NUMPY"


def _check_declared(model: TakesInputs, where: str, others: bool, declared: "Mapping[str, Declared]") -> None:
    """Before anything is read: an array that the model does not take, or more of it than is allowed, is not
    decompressed first."""
    _check_signature(model, declared, where, others)
    spooled = sum(one.nbytes for one in declared.values() if one.spooled)
    if spooled > limit("unpacked"):
        raise DataError(
            f"{where}: declares {spooled} bytes of compressed arrays, at most {limit('unpacked')} are read: save it "
            f"with np.savez, or {more('unpacked')}"
        )
    beside = sum(one.nbytes for name, one in declared.items() if name not in {spec.name for spec in model.inputs})
    if beside > limit("labels"):
        raise DataError(
            f"{where}: declares {beside} bytes of {LABELS}, at most {limit('labels')} are read: {more('labels')}"
        )


def check_samples(
    model: TakesInputs, samples: Mapping[str, Array], where: str = "samples", others: bool = False
) -> dict[str, Array]:
    """`samples` (name -> array, samples on the first axis) as contiguous arrays of the model's dtypes; a StoredArray
    stays one and is read a few megabytes at a time. Raises DataError: one line, what is wrong, where, and the remedy.
    Other arrays than the inputs, `labels` and `labels/OUTPUT` are refused unless `others` may be there: a misspelt name
    must not go unnoticed."""
    samples = {
        str(name): array if isinstance(array, StoredArray) else np.asarray(array) for name, array in samples.items()
    }
    _check_signature(model, samples, where, others)
    checked = {spec.name: _finite(where, spec, samples[spec.name]) for spec in model.inputs}
    return checked | {name: np.ascontiguousarray(array) for name, array in samples.items() if name not in checked}


def _check_signature(model: TakesInputs, samples: Mapping[str, Any], where: str, others: bool) -> None:
    """Names, shapes and dtypes (arrays, or what headers declare) against the model and each other; no value is looked
    at."""
    inputs = {spec.name: spec for spec in model.inputs}
    missing = [name for name in inputs if name not in samples]
    extra = [name for name in samples if name not in inputs and not _is_labels(name)]
    if missing:
        found = ", ".join(printable(name)[:_LONGEST] for name in sorted(samples)[:_FEW]) if samples else "nothing"
        raise DataError(
            f"{where}: input {missing[0]!r} is missing (found: {found}): name the arrays as the model's inputs: "
            f"{_names(model)}"
        )
    if extra and not others:
        raise DataError(
            f"{where}: array {extra[0][:_LONGEST]!a} is no input of the model: name the arrays {_names(model)} (and "
            f"{LABELS})"
        )
    for name, spec in inputs.items():
        _check_input(where, spec, samples[name], batch_of(model.inputs))
    first, count = next((name, len(samples[name])) for name in inputs)
    for name in inputs:
        if len(samples[name]) != count:
            raise DataError(
                f"{where}: {name!r} has {len(samples[name])} samples but {first!r} has {count}: give every input the "
                "same number"
            )
    for name in filter(_is_labels, samples.keys() - inputs.keys()):
        _check_labels(where, name, samples[name], count)


def _is_labels(name: str) -> bool:
    return name == LABELS or name.startswith(OF)


def inputs_of(model: TakesInputs, samples: Mapping[str, _Array]) -> dict[str, _Array]:
    """The samples without the labels, in the order of the model's inputs."""
    return {spec.name: samples[spec.name] for spec in model.inputs}


def digest_of(array: Array) -> str:
    """The SHA-256 of an array: dtype, shape and values."""
    if isinstance(array, StoredArray):
        if array.digest is None:
            _scan(array, lambda start, piece: None)
        assert array.digest is not None, "_scan notes it"
        return array.digest
    digest = hashlib.sha256(f"{array.dtype} {array.shape} ".encode())
    digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _check_input(where: str, spec: "TensorSpec", array: Any, batch: int) -> None:
    wanted = sample_shape(spec, batch)
    shape = ", ".join(["samples", *map(str, wanted)])
    if not takes_samples(spec, batch, array.shape):
        why = (
            ", as the inputs' first extents differ"
            if spec.shape and spec.batch_axis == 0 and takes_whole(spec, batch)
            else ""
        )
        raise DataError(
            f"{where}: {spec.name!r} has shape {list(array.shape)}, the model takes [{shape}]{why}: reshape it, "
            "samples on the first axis"
        )
    if not len(array):
        raise DataError(f"{where}: {spec.name!r} holds no samples: give at least one, some hundred are usual")
    if array.dtype != spec.dtype and not _harmless(array.dtype, np.dtype(spec.dtype)):
        raise DataError(
            f"{where}: {spec.name!r} is {str(array.dtype)[:_LONGEST]}, the model takes {spec.dtype}: convert it with "
            f".astype(np.{spec.dtype})"
        )


def _finite(where: str, spec: "TensorSpec", array: Array) -> Array:
    """The array as the model takes it. Raises DataError for a value that is not finite."""
    dtype = np.dtype(spec.dtype)
    checked = np.issubdtype(array.dtype, np.floating)

    def look(start: int, piece: np.ndarray) -> None:
        if checked:
            _check_finite(where, spec.name, piece, start)
            if piece.dtype != dtype:
                with np.errstate(over="ignore"):  # A float64 beyond float32 becomes an infinity, which the check names.
                    _check_finite(where, spec.name, piece.astype(dtype), start)

    if isinstance(array, StoredArray):
        _scan(array, look)
        return array.astype(dtype) if array.dtype != dtype else array
    look(0, array)
    return np.ascontiguousarray(array, dtype)


def _scan(array: StoredArray, look: Callable[[int, np.ndarray], None]) -> None:
    """Reads all of it once: look(first row, rows) on every piece, its digest, and the file's checksum. Raises OSError
    where that is wrong."""
    digest = hashlib.sha256(f"{array.dtype} {array.shape} ".encode())
    found = array.checksum[0] if array.checksum is not None else 0
    for start, piece in array.pieces():
        look(start, piece)
        raw = piece.reshape(-1).view(np.uint8).data
        digest.update(raw)
        found = zlib.crc32(raw, found) if array.checksum is not None else 0
    if array.checksum is not None and found != array.checksum[1]:
        raise BadZipFile("its checksum is wrong")
    array.digest = digest.hexdigest()


def _harmless(given: np.dtype, wanted: np.dtype) -> bool:
    """float64 -> float32 rounds, and is meant; integers of another width keep their values if the wanted type is at
    least as wide."""
    both_float = np.issubdtype(given, np.floating) and np.issubdtype(wanted, np.floating)
    return both_float or (
        np.issubdtype(given, np.integer) and np.issubdtype(wanted, np.integer) and np.can_cast(given, wanted)
    )


def _check_finite(where: str, name: str, array: np.ndarray, start: int) -> None:
    step = max(_PIECE // max(array[:1].nbytes, 1), 1)
    for at in range(0, len(array), step):  # Blocks of samples need no temporary of the size of the whole array.
        good = np.isfinite(array[at : at + step])
        if not good.all():
            index = at + int(np.argmin(good.reshape(len(good), -1).all(1)))
            what = "NaN" if np.isnan(array[index]).any() else "an infinity"
            raise DataError(f"{where}: {name!r} holds {what} in sample {start + index}: remove or repair that sample")


def _check_labels(where: str, name: str, labels: Array, count: int) -> None:
    if labels.ndim == 0 or len(labels) != count:
        found = len(labels) if labels.ndim else "a scalar"
        raise DataError(f"{where}: {found} {name[:_LONGEST]} for {count} samples: give one label per sample")
    if not any(np.issubdtype(labels.dtype, kind) for kind in (np.integer, np.floating, np.bool_)):
        raise DataError(
            f"{where}: {name[:_LONGEST]} are {str(labels.dtype)[:_LONGEST]}: give numbers (classes as integers)"
        )


def _names(model: TakesInputs) -> str:
    return ", ".join(spec.name for spec in model.inputs)


def _line(error: BaseException) -> str:
    said = getattr(error, "strerror", None) or str(error)
    return printable(said.splitlines()[0])[:_LONGEST] if said else type(error).__name__
