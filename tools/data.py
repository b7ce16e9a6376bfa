"""DATA.npz: one array per model input, named as the input, samples on the first axis; `labels` beside them where a metric needs it."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from ..targets.errors import DataError

LABELS = "labels"


def read_arrays(path) -> dict[str, np.ndarray]:
    """All arrays of an .npz. Raises DataError, one line, for a file that is missing, no .npz, truncated, or holds Python objects."""
    try:
        with np.load(Path(path), allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise DataError(f"{path}: is one bare array; save it with np.savez(path, INPUT_NAME=array)")
            return {name: file[name] for name in file.files}
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    except (ValueError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        reason = "holds Python objects" if "pickle" in str(error).lower() and zipfile.is_zipfile(path) else "is not an .npz file, or truncated"
        raise DataError(f"{path}: {reason}; save numeric arrays with np.savez(path, INPUT_NAME=array)") from error


def read_samples(path, inputs) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """The arrays of the inputs (TensorSpec), each [N, ...], and the labels or None. Raises DataError when they do not fit the model."""
    arrays = read_arrays(path)
    labels = arrays.pop(LABELS, None) if LABELS not in {spec.name for spec in inputs} else None
    checked = check_samples(arrays, inputs, path)
    count = len(next(iter(checked.values())))
    if labels is not None and (labels.ndim == 0 or len(labels) != count):
        raise DataError(f"{path}: {LABELS} has shape {list(labels.shape)}, but there are {count} samples; give one label per sample")
    return checked, labels


def check_samples(arrays, inputs, where) -> dict[str, np.ndarray]:
    """The arrays in the order of the inputs. Raises DataError for wrong names, shapes, dtypes, counts, NaN and infinity."""
    names = [spec.name for spec in inputs]
    absent, unknown = [n for n in names if n not in arrays], [n for n in arrays if n not in names]
    if absent or unknown:
        raise DataError(f"{where}: holds {', '.join(arrays) or 'no array'}, the model's inputs are {', '.join(names)}; name the arrays as the inputs")
    counts = {name: len(arrays[name]) if arrays[name].ndim else 0 for name in names}
    if min(counts.values()) == 0:
        raise DataError(f"{where}: {min(counts, key=counts.get)} holds no samples; the first axis counts them")
    if len(set(counts.values())) > 1:
        raise DataError(f"{where}: the inputs have different numbers of samples ({', '.join(f'{k} {v}' for k, v in counts.items())})")
    for spec in inputs:
        _check_one(arrays[spec.name], spec, where)
    return {name: arrays[name] for name in names}


def _check_one(array, spec, where):
    sample = tuple(spec.shape[1:])
    if array.shape[1:] != sample:
        raise DataError(f"{where}: {spec.name} has shape {list(array.shape)}, the model takes [samples, {', '.join(map(str, sample))}]; reshape or re-export the data")
    if array.dtype != np.dtype(spec.dtype):
        raise DataError(f"{where}: {spec.name} has dtype {array.dtype}, the model takes {spec.dtype}; convert it with .astype(np.{spec.dtype})")
    if np.issubdtype(array.dtype, np.floating):
        bad = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
        if bad.any():
            raise DataError(f"{where}: {spec.name} holds NaN or infinity in {int(bad.sum())} of {len(array)} samples, the first is sample {int(bad.argmax())}; clean the data")
