"""DATA.npz: one array per model input, named as the input, samples on the first axis; `labels` beside them where a metric needs it."""

import numpy as np

from ..targets.samples import LABELS, inputs_of, load_samples


def read_samples(path, model, rows=None) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """(arrays of the inputs in the model's order, labels or None), checked. The inputs stay in the file: StoredArrays. rows: see `load_samples`.
    Raises DataError when they do not fit the model (or Session)."""
    samples = load_samples(path, model, rows)
    return inputs_of(model, samples), samples.get(LABELS)
