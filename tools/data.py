"""DATA.npz: one array per model input, named as the input, samples on the first axis; `labels` beside them where a
metric needs it."""

import numpy as np

from ..targets.errors import OctetError
from ..targets.samples import inputs_of, load_samples
from ..targets.stored_array import Array, select
from .console import say

_FIRST = 64  # So many samples are looked at: nobody's data begin with as many equal ones by chance.


def warn_of_full_masks(path, samples, model) -> None:
    """Says on stderr where a package of several shapes is calibrated with full masks alone: what attention makes of a
    few places reaches further than what it makes of many, and no sample shows it."""
    if len(model.shapes) < 2:
        return
    for name, array in samples.items():
        first = np.asarray(select(array, slice(0, _FIRST)))
        if first.ndim == 2 and first.shape[1] > 1 and first.dtype.kind in "iub" and first.size and (first == 1).all():
            say(
                f"octet: warning: {path}: input {name!r} is 1 everywhere in the first {len(first)} samples, so none is "
                f"shorter than {first.shape[1]}; give samples of the lengths that come, with 0 in {name!r} behind them",
                err=True,
            )


def check_calib(path, file, model) -> None:
    """Raises OctetError where the network of an ONNX file needs calibration data and `path` is None."""
    if path is None and not model.comes_quantised:
        raise OctetError(
            f"--calib DATA.npz: {file} is not quantised yet (or only its weights are, or its ranges are left to run "
            "time), so calibration samples are needed; add it"
        )


def read_samples(path, model, rows=None, others: bool = False) -> tuple[dict[str, Array], dict[str, Array]]:
    """Reads and checks the samples of a data file.

    (arrays of the inputs in the model's order, what else the file holds: labels), checked. The inputs stay in the
    file: StoredArrays. rows, others: see `load_samples`.
    Raises DataError when they do not fit the model (or Session)."""
    samples = load_samples(path, model, rows, others)
    inputs = inputs_of(model, samples)
    return inputs, {name: array for name, array in samples.items() if name not in inputs}


def warn_of_constant(path, samples) -> None:
    """Says on stderr which inputs do not vary: ranges that such calibration data give promise nothing for real data.
    (Whole numbers may well be the same in every sample: masks.)"""
    for name, array in samples.items():
        if not np.issubdtype(array.dtype, np.floating):
            continue
        first = np.asarray(select(array, slice(0, _FIRST)))
        if not first.size:
            continue
        value = first.reshape(-1)[0]
        if (first == value).all():
            what = f"is {value:g} everywhere"
        elif len(first) > 1 and (first == first[:1]).all():
            what = "is the same in every sample"
        else:
            continue
        say(
            f"octet: warning: {path}: input {name!r} {what} in the first {len(first)} samples; ranges fit such data "
            "alone, so give real samples",
            err=True,
        )
