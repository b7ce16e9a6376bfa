"""Files of samples: arrays by the names of inputs, converted where that loses nothing, else refused."""

import numpy as np
import pytest

from octet.targets.errors import DataError
from octet.targets.samples import check_samples, inputs_of, load_samples
from octet.targets.variant import TensorSpec


class MODEL:
    """All that the checks ask of a model."""

    inputs = (TensorSpec("image", (1, 2, 3), "float32"), TensorSpec("mask", (1,), "int64"))


def arrays(count=4):
    return {"image": np.ones((count, 2, 3), np.float32), "mask": np.arange(count)}


def saved(tmp_path, **values):
    path = tmp_path / "data.npz"
    np.savez(path, **values)
    return path


def test_reads_inputs_and_labels(tmp_path):
    found = load_samples(saved(tmp_path, labels=np.arange(4), **dict(reversed(arrays().items()))), MODEL)
    assert list(inputs_of(MODEL, found)) == ["image", "mask"] and found["labels"].tolist() == [0, 1, 2, 3]


def test_harmless_conversions():
    found = check_samples(MODEL, {"image": np.ones((4, 2, 3)), "mask": np.arange(4, dtype=np.int32)})
    assert found["image"].dtype == np.float32 and found["mask"].dtype == np.int64


def test_converted_samples_are_checked_again(tmp_path):
    """As compiling does: what was loaded is checked once more where it is used."""
    path = saved(tmp_path, image=np.ones((4, 2, 3)), mask=np.arange(4, dtype=np.int32))
    found = check_samples(MODEL, load_samples(path, MODEL))
    assert found["image"].dtype == np.float32 and found["mask"][:].tolist() == [0, 1, 2, 3]


def nan_in(values, sample):
    values["image"][sample, 1, 2] = np.nan
    return values


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "input 'image' is missing (found: nothing)"),
        (
            {"Image": np.zeros((1, 2, 3), np.float32), "mask": np.zeros(1, np.int64)},
            "input 'image' is missing (found: Image, mask)",
        ),
        (arrays() | {"extra": np.zeros(4)}, "array 'extra' is no input of the model"),
        (arrays(0), "holds no samples"),
        (arrays() | {"mask": np.arange(3)}, "'mask' has 3 samples but 'image' has 4"),
        (arrays() | {"image": np.ones((4, 3, 2), np.float32)}, "the model takes [samples, 2, 3]"),
        (arrays() | {"image": np.ones((4, 2, 3), np.uint8)}, "is uint8, the model takes float32"),
        (nan_in(arrays(), 2), "holds NaN in sample 2"),
        (arrays() | {"labels": np.zeros(3, np.int64)}, "3 labels for 4 samples"),
    ],
)
def test_refuses(tmp_path, values, said):
    path = saved(tmp_path, **values)
    with pytest.raises(DataError) as error:
        load_samples(path, MODEL)
    assert said in str(error.value) and str(path) in str(error.value) and "\n" not in str(error.value)


def write_object_array(path):
    np.savez(path, image=np.array([object()], dtype=object))


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.write_bytes(b"hello"), "is not a readable .npz"),
        (lambda path: path.write_bytes(b""), "is not a readable .npz"),
        (lambda path: np.save(path.open("wb"), np.zeros(3)), "is a single array"),
        (write_object_array, "is not a readable .npz"),
        (
            lambda path: (np.savez(path, **arrays()), path.write_bytes(path.read_bytes()[:300])),
            "is not a readable .npz",
        ),
    ],
)
def test_refuses_files(tmp_path, write, said):
    path = tmp_path / "data.npz"
    write(path)
    with pytest.raises(DataError) as error:
        load_samples(path, MODEL)
    assert said in str(error.value) and "\n" not in str(error.value)
