"""The referee's checksum: bits flipped in the weights, the input and the sums of a layer."""

import numpy as np
import pytest

from .checksum import checksum_of, sums_of

LAYERS = {
    "3 x 3": (
        (1, 6, 7, 7),
        (8, 6, 3, 3),
        {"strides": [1, 1], "padding": [1, 1, 1, 1], "dilation": [1, 1], "groups": 1, "data_zero_point": -5},
    ),
    "pointwise, stride 2": (
        (2, 16, 5, 5),
        (24, 16, 1, 1),
        {"strides": [2, 2], "padding": [0, 0, 0, 0], "dilation": [1, 1], "groups": 1, "data_zero_point": 3},
    ),
    "depthwise": (
        (1, 12, 6, 6),
        (12, 1, 3, 3),
        {"strides": [1, 1], "padding": [1, 1, 1, 1], "dilation": [1, 1], "groups": 12, "data_zero_point": 0},
    ),
    "linear": ((5, 32, 1, 1), (10, 32, 1, 1), {"data_zero_point": 17}),
}
COUNTS = ("flips", "changed", "missed", "alarms")


def flip_random_bits(name, flips, seed):
    """Counts of one layer: flips, those that changed a sum, of these the missed ones, and alarms where no sum changed
    and nothing of the input."""
    shape, kernel, attrs = LAYERS[name]
    random = np.random.default_rng(seed)
    data, weight = random.integers(-128, 128, shape).astype(np.int8), random.integers(-127, 128, kernel).astype(np.int8)
    bias = random.integers(-5000, 5000, kernel[0]).astype(np.int32)
    checksum, clean = checksum_of(weight, bias, attrs), sums_of(data, weight, bias, attrs)
    right, total = checksum.right(data), int(data.astype(np.int64).sum())  # They were taken when the input was written.
    assert checksum.left(clean) == right
    found = dict.fromkeys(COUNTS, 0)
    for _ in range(flips):
        hit, bit = random.integers(3), int(random.integers(8))
        x, w, sums = data, weight, clean
        if hit < 2:
            array = (data, weight)[hit].copy()
            array.reshape(-1).view(np.uint8)[random.integers(array.size)] ^= np.uint8(1 << bit)
            x, w = (array, weight) if hit == 0 else (data, array)
            sums = sums_of(x, w, bias, attrs, folded=weight)
        else:
            sums = clean.astype(np.int32)
            sums.reshape(-1)[random.integers(sums.size)] ^= np.int32(1 << int(random.integers(31)))
        changed, guarded = not np.array_equal(sums, clean), int(x.astype(np.int64).sum()) != total
        caught = checksum.left(sums) != right or guarded
        found["flips"] += 1
        found["changed"] += changed
        found["missed"] += changed and not caught
        found["alarms"] += checksum.left(sums) != right and not changed
    return found


@pytest.mark.parametrize("name", LAYERS)
def test_every_flip_that_changes_a_sum_is_caught(name):
    found = flip_random_bits(name, 400, 0)
    assert found["missed"] == found["alarms"] == 0 and found["changed"] > 300, found


@pytest.mark.parametrize("name", LAYERS)
def test_clean_layers_raise_no_alarm(name):
    shape, kernel, attrs = LAYERS[name]
    for seed in range(50):
        random = np.random.default_rng(seed)
        data, weight = (
            random.integers(-128, 128, shape).astype(np.int8),
            random.integers(-127, 128, kernel).astype(np.int8),
        )
        bias = random.integers(-(2**30), 2**30, kernel[0]).astype(np.int32)
        checksum = checksum_of(weight, bias, attrs)
        assert checksum.left(sums_of(data, weight, bias, attrs)) == checksum.right(data)


def test_a_flipped_weight_shows_although_its_inputs_add_up_to_the_zero_point():
    """The stored bytes that it meets do not add up to nothing."""
    attrs = LAYERS["pointwise, stride 2"][2] | {"strides": [1, 1]}
    data = np.array([-9, 15, 3, 3], np.int8).reshape(1, 1, 2, 2)  # The codes lie around the zero point 3.
    weight, bias = np.array([[5], [-7]], np.int8).reshape(2, 1, 1, 1), np.array([11, 12], np.int32)
    checksum, flipped = checksum_of(weight, bias, attrs), weight.copy()
    flipped[0] ^= 4
    sums = sums_of(data, flipped, bias, attrs, folded=weight)
    stored = data.astype(np.int64) + 128
    assert (sums - sums_of(data, weight, bias, attrs))[0, 0].tolist() == (stored * (int(flipped[0, 0, 0, 0]) - 5))[
        0, 0
    ].tolist()
    assert checksum.left(sums) != checksum.right(data) == checksum.left(sums_of(data, weight, bias, attrs))
