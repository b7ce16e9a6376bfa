"""Calibration and validation data that do not fit: one line, exit status 2, no file."""

import resource
import time

import numpy as np
import onnx
import pytest

from octet.passes.frontend.onnx import load_onnx
from octet.targets.errors import OctetError
from octet.targets.samples import load_samples
from octet.tools.data import read_samples
from octet.tools.metrics import METRICS
from octet.tools.scores import scoring_of

from .conftest import tiny_network
from .wrong_data import LABELS, WRONG

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


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    onnx.save(tiny_network(), path)
    return load_onnx(path)


def judged(work):
    """The line of what work() raises. It may take neither ten seconds nor two gigabytes."""
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(OctetError) as caught:
        work()
    took, grown = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    said = str(caught.value)
    assert took < 10 and grown < 2 << 20 and said.isprintable() and len(said) < 1000, (took, grown, said)
    return said


@pytest.mark.parametrize("name", WRONG)
def test_the_catalogue_of_wrong_data(folder, model, name):
    """One line that names the file. Every tenth goes through commands, whose status and files are judged too."""
    path = folder.path / "data.npz"
    WRONG[name](path)
    assert "data.npz" in judged(lambda: load_samples(path, model))
    if list(WRONG).index(name) % 10 == 0 or not path.is_file():
        folder.refused(folder.compile(calib=str(path)), "data.npz")
        folder.refused(["calibrate", folder.model, "--calib", path, "-o", folder.output], "data.npz")


@pytest.mark.parametrize("name", LABELS)
def test_the_catalogue_of_wrong_labels(folder, model, name):
    path = folder.path / "val.npz"
    LABELS[name](path)

    def read():
        arrays, others = read_samples(path, model)
        scoring_of(METRICS["top1"], others, model, len(arrays["image"]), path, fp32=False)

    assert "val.npz" in judged(read)
    if list(LABELS).index(name) % 5 == 0:
        folder.refused(folder.compile("--validate", path, "--max-drop", "0.1"), "val.npz")


def test_the_catalogues_are_large():
    assert len(WRONG) + len(LABELS) >= 130


def test_calibration_data_are_checked_for_bench(folder, toy_package):
    folder.refused(["bench", toy_package, "--calib", folder.calib], "calib.npz", "'x'")
