"""The arrays of a run are held against the signature before anything else."""

import numpy as np
import pytest

from octet.targets.errors import DataError
from octet.targets.native.given_inputs import GivenInputs
from octet.targets.variant import TensorSpec

IMAGE, LENGTH = np.zeros((1, 3, 8, 8), np.float32), np.ones((1,), np.int64)


@pytest.fixture
def given():
    return GivenInputs([TensorSpec("image", IMAGE.shape, "float32"), TensorSpec("length", LENGTH.shape, "int64")])


def test_arrays_come_in_the_order_of_the_signature_as_they_are(given):
    image, length = given.arrays({"length": LENGTH, "image": IMAGE})
    assert image is IMAGE and length is LENGTH


def test_lists_are_arrays(given):
    assert given.arrays({"length": [7], "image": IMAGE})[1].tolist() == [7]


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({}, "image, length, but nothing was given"),
        ({"image": IMAGE}, "but image was given"),
        ({"image": IMAGE, "length": LENGTH, "more": LENGTH}, "but image, length, more was given"),
        ({"image": IMAGE[0], "length": LENGTH}, r"image has shape \[3, 8, 8\], the model takes \[1, 3, 8, 8\]"),
        ({"image": IMAGE.astype(np.float64), "length": LENGTH}, r"dtype float64.*\.astype\(np\.float32\)"),
        ({"image": IMAGE, "length": LENGTH.astype(np.int32)}, r"length has dtype int32, the model takes int64"),
    ],
)
def test_anything_else_is_refused_in_words(given, inputs, said):
    with pytest.raises(DataError, match=said):
        given.arrays(inputs)
