"""Calibration and validation data: read from an .npz, checked against a model's signature before anything expensive starts.

`model` is whatever has `inputs`, a tuple of TensorSpec: a Model, a Session, a Package."""

import zlib
from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from .errors import DataError

LABELS = "labels"


def load_samples(path, model) -> dict[str, np.ndarray]:
    """The arrays of the .npz file `path`: one per model input, and `labels` if it holds them. Raises DataError."""
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: {'is a folder' if path.is_dir() else 'no such file'}: give an .npz with one array per model input ({_names(model)})")
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise DataError(f"{path}: is a single array, not an .npz: save it with np.savez(path, {model.inputs[0].name}=array)")
        with loaded as stored:
            samples = {name: stored[name] for name in stored.files}
    except DataError:
        raise
    except PermissionError:
        raise DataError(f"{path}: permission denied: make the file readable") from None
    except (OSError, ValueError, BadZipFile, zlib.error, EOFError, KeyError, AttributeError) as error:
        raise DataError(f"{path}: is not a readable .npz ({_line(error)}): save it with np.savez") from None
    return check_samples(model, samples, where=str(path))


def check_samples(model, samples: Mapping[str, np.ndarray], where: str = "samples") -> dict[str, np.ndarray]:
    """`samples` (name -> array, samples on the first axis) as contiguous arrays of the model's dtypes. Raises DataError: one line, what is
    wrong, where, and the remedy. Other arrays than the inputs and `labels` are refused: a misspelt name must not go unnoticed."""
    samples = {str(name): np.asarray(array) for name, array in samples.items()}
    inputs = {spec.name: spec for spec in model.inputs}
    missing = [name for name in inputs if name not in samples]
    extra = [name for name in samples if name not in inputs and name != LABELS]
    if missing:
        found = ", ".join(sorted(samples)) if samples else "nothing"
        raise DataError(f"{where}: input {missing[0]!r} is missing (found: {found}): name the arrays as the model's inputs: {_names(model)}")
    if extra:
        raise DataError(f"{where}: array {extra[0]!r} is no input of the model: name the arrays {_names(model)} (and {LABELS})")
    checked = {name: _check_input(where, spec, samples[name]) for name, spec in inputs.items()}
    first, count = next((name, len(array)) for name, array in checked.items())
    for name, array in checked.items():
        if len(array) != count:
            raise DataError(f"{where}: {name!r} has {len(array)} samples but {first!r} has {count}: give every input the same number")
    if LABELS in samples:
        checked[LABELS] = _check_labels(where, samples[LABELS], count)
    return checked


def inputs_of(model, samples) -> dict[str, np.ndarray]:
    """The samples without the labels, in the order of the model's inputs."""
    return {spec.name: samples[spec.name] for spec in model.inputs}


def _check_input(where, spec, array):
    wanted = spec.shape[1:]
    shape = ", ".join(["samples", *map(str, wanted)])
    if array.ndim != len(spec.shape) or array.shape[1:] != tuple(wanted):
        raise DataError(f"{where}: {spec.name!r} has shape {list(array.shape)}, the model takes [{shape}]: reshape it, samples on the first axis")
    if not len(array):
        raise DataError(f"{where}: {spec.name!r} holds no samples: give at least one, some hundred are usual")
    if array.dtype != np.dtype(spec.dtype) and not _harmless(array.dtype, np.dtype(spec.dtype)):
        raise DataError(f"{where}: {spec.name!r} is {array.dtype}, the model takes {spec.dtype}: convert it with .astype(np.{spec.dtype})")
    if np.issubdtype(array.dtype, np.floating):
        _check_finite(where, spec.name, array)
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes an infinity, which the check names
        converted = np.ascontiguousarray(array, np.dtype(spec.dtype))
    if np.issubdtype(array.dtype, np.floating):
        _check_finite(where, spec.name, converted)
    return converted


def _harmless(given, wanted):
    """float64 -> float32 rounds, and is meant; integers of another width keep their values if the wanted type is at least as wide."""
    both_float = np.issubdtype(given, np.floating) and np.issubdtype(wanted, np.floating)
    return both_float or (np.issubdtype(given, np.integer) and np.issubdtype(wanted, np.integer) and np.can_cast(given, wanted))


def _check_finite(where, name, array):
    for index, sample in enumerate(array):  # by sample: no temporary of the size of the whole array
        if not np.isfinite(sample).all():
            what = "NaN" if np.isnan(sample).any() else "an infinity"
            raise DataError(f"{where}: {name!r} holds {what} in sample {index}: remove or repair that sample")


def _check_labels(where, labels, count):
    if labels.ndim == 0 or len(labels) != count:
        found = len(labels) if labels.ndim else "a scalar"
        raise DataError(f"{where}: {found} {LABELS} for {count} samples: give one label per sample")
    if not (np.issubdtype(labels.dtype, np.number) or np.issubdtype(labels.dtype, np.bool_)):
        raise DataError(f"{where}: {LABELS} are {labels.dtype}: give numbers (classes as integers)")
    return np.ascontiguousarray(labels)


def _names(model):
    return ", ".join(spec.name for spec in model.inputs)


def _line(error):
    return str(error).splitlines()[0] if str(error) else type(error).__name__
