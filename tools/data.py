"""DATA.npz: one array per model input, named as the input, samples on the first axis; `labels` beside them where a metric needs it."""

import numpy as np

from ..targets.errors import OctetError
from ..targets.samples import LABELS, inputs_of, load_samples


def check_calib(path, file, model) -> None:
    """Raises OctetError where the network of an ONNX file needs calibration data and `path` is None."""
    if path is None and not model.comes_quantised:
        raise OctetError(f"--calib DATA.npz: {file} is not quantised yet, so calibration samples are needed; add it")


def read_samples(path, model, rows=None) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """(arrays of the inputs in the model's order, labels or None), checked. The inputs stay in the file: StoredArrays. rows: see `load_samples`.
    Raises DataError when they do not fit the model (or Session)."""
    samples = load_samples(path, model, rows)
    return inputs_of(model, samples), samples.get(LABELS)
