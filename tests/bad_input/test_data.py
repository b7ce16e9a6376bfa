"""Calibration and validation data that do not fit: one line, exit status 2, no file."""

import numpy as np
import pytest

GOOD = np.random.default_rng(1).standard_normal((8, 3, 8, 8)).astype(np.float32)


def with_value(value, sample):
    array = GOOD.copy()
    array[sample, 1, 2, 3] = value
    return array


BAD_ARRAYS = {
    "wrong name": ({"picture": GOOD}, "image"),
    "one more": ({"image": GOOD, "picture": GOOD}, "picture"),
    "wrong shape": ({"image": GOOD[:, :, :, :7]}, "[samples, 3, 8, 8]"),
    "no sample axis": ({"image": GOOD[0]}, "[samples, 3, 8, 8]"),
    "wrong dtype": ({"image": (GOOD * 10).astype(np.uint8)}, "uint8"),
    "strings": ({"image": np.full((8, 3, 8, 8), "x")}, "image"),
    "NaN": ({"image": with_value(np.nan, 5)}, "sample 5"),
    "infinity": ({"image": with_value(-np.inf, 2)}, "sample 2"),
    "beyond float32": ({"image": with_value(1.0, 0).astype(np.float64) * 1e300}, "infinity"),
    "zero samples": ({"image": GOOD[:0]}, "no samples"),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_calibration(folder, case):
    arrays, said = BAD_ARRAYS[case]
    np.savez(folder.calib, **arrays)
    folder.refused(folder.compile(), "calib.npz", said)
    folder.refused(["quantize", folder.model, "--calib", folder.calib, "-o", folder.output], "calib.npz", said)


BAD_FILES = {
    "missing": None,
    "empty": b"",
    "text": b"image: 1 2 3",
    "truncated": "truncate",
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_files(folder, case):
    content = BAD_FILES[case]
    path = folder.path / "data.npz"
    if content == "truncate":
        np.savez(path, image=GOOD)
        path.write_bytes(path.read_bytes()[:2000])
    elif content is not None:
        path.write_bytes(content)
    folder.refused(folder.compile(calib=str(path)), "data.npz")
    folder.refused(folder.compile("--validate", str(path)), "data.npz")


BAD_LABELS = {
    "none": ({}, "labels"),
    "too few": ({"labels": np.arange(3)}, "8 samples"),
    "too many": ({"labels": np.arange(9)}, "8 samples"),
    "a scalar": ({"labels": np.array(3)}, "labels"),
    "fractions": ({"labels": np.linspace(0, 1, 8)}, "integers"),
    "another model's classes": ({"labels": np.arange(8)}, "4 classes"),
    "negative": ({"labels": np.arange(8) - 7}, "4 classes"),
}


@pytest.mark.parametrize("case", BAD_LABELS)
def test_labels(folder, case):
    arrays, said = BAD_LABELS[case]
    np.savez(folder.val, image=GOOD, **arrays)
    folder.refused(folder.compile("--validate", folder.val, "--max-drop", "0.1"), "val.npz", said)


def test_calibration_data_are_checked_for_bench(folder, toy_package):
    folder.refused(["bench", toy_package, "--calib", folder.calib], "calib.npz", "'x'")
