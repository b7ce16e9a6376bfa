"""The kernels of calibration against NumPy: odd shapes, padding channels full of NaN, every layout."""

from functools import cache
from math import gcd

import numpy as np
import pytest
import tvm

from octet.passes.calibrate.statistics import BINS, SHIFT, Statistics
from octet.targets import detect
from octet.targets.runtime import aligned
from octet.targets.x86.elementwise import histogram as histograms, summary as summaries
from octet.targets.x86.elementwise.summary import HEADER, MAXIMUM, MINIMUM, NONFINITE, SUMMARY, ZEROS, SummaryProblem
from octet.targets.x86.layout import Layout, packed


def summary(layout, values, samples):
    """The kernel's result for values [rows, channels]; what is no logical element is NaN."""
    buffer = np.full(layout.elements, np.nan, np.float32)
    if layout.kind == "plain":
        buffer = values.reshape(layout.shape)
    else:
        buffer[: layout.pixels * layout.channel_stride].reshape(layout.pixels, -1)[:, : layout.channels] = values
    problem = SummaryProblem(layout, samples)
    result = aligned(problem.result.shape, np.float32)
    given = aligned(buffer.shape, np.float32)
    parameters = aligned(problem.parameters.shape, np.int32)
    given[...], parameters[...] = buffer, problem.parameters
    _kernel(*problem.kernel)(
        *(tvm.runtime.from_dlpack(array) for array in (given.reshape(-1)[:1], parameters, result[:1]))
    )
    return result


@cache
def _kernel(several, parallel):
    func = summaries.summary(several, parallel).with_attr("global_symbol", "summary")
    return tvm.compile(func, target=detect.native().tvm_target())["summary"]


LAYOUTS = [
    packed((1, 5, 3, 7), "float32"),
    packed((2, 16, 4, 4), "float32"),
    packed((1, 40, 9, 5), "float32"),
    packed((3, 129), "float32"),
    packed((1, 3, 1), "float32"),
    Layout("plain", (2, 3, 5), "float32"),
    Layout("plain", (1,), "float32"),
    Layout("plain", (4, 1000), "float32"),
    packed((1, 200, 33, 9), "float32"),
    Layout("plain", (3, 20001), "float32"),
]


def first_of(values, elements):
    """Where the kernel has to begin."""
    bits = [int(np.float32(value).view(np.int32)) & 0x7FFFFFFF for value in values]
    mixed = sum(bit * factor for bit, factor in zip(bits, summaries.FACTORS))
    return ((mixed ^ (mixed >> 31)) & 0x7FFFFFFF) * elements >> 31


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_summary(layout):
    rng = np.random.default_rng(0)
    channels = layout.channels
    values = np.maximum(rng.standard_normal((int(np.prod(layout.shape)) // channels, channels)), -0.5).astype(
        np.float32
    )
    values[rng.random(values.shape) < 0.3] = 0.0
    samples = min(values.size, 50)
    result = summary(layout, values, samples)
    four = result[SUMMARY : SUMMARY + 4]
    assert four[MINIMUM] == values.min() and four[MAXIMUM] == values.max()
    assert four[ZEROS] == np.count_nonzero(values == 0) and four[NONFINITE] == 0
    stride = summaries.stride_of(values.size, samples, channels)
    flat = values.reshape(-1)
    first = (
        first_of((four[MINIMUM], four[MAXIMUM], four[ZEROS], flat[flat.size // 2]), flat.size)
        if samples < flat.size
        else 0
    )
    assert np.array_equal(result[HEADER:], flat[(first + np.arange(samples) * stride) % flat.size])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("layout", LAYOUTS[1:5], ids=str)
def test_one_bad_value_anywhere_is_found(layout, value):
    size = int(np.prod(layout.shape))
    values = np.ones((size // layout.channels, layout.channels), np.float32)
    values.reshape(-1)[size - 1] = value
    assert np.isnan(summary(layout, values, 1)[SUMMARY + NONFINITE])


@pytest.mark.parametrize(
    "layout",
    [packed((1, 64, 24), "float32"), packed((1, 40, 9, 5), "float32"), Layout("plain", (1500,), "float32")],
    ids=str,
)
def test_over_many_samples_every_place_is_met_alike(layout):
    channels = layout.channels
    size = int(np.prod(layout.shape))
    rng, met = np.random.default_rng(0), np.zeros(size)
    for _ in range(400):
        # Each value says where it lies, if the permutation is known.
        values = rng.permutation(size).astype(np.float32) + 1
        result = summary(layout, values.reshape(-1, channels), 64)[HEADER:]
        places = np.empty(size, np.int64)
        places[values.astype(np.int64) - 1] = np.arange(size)
        met[places[result.astype(np.int64) - 1]] += 1
    expected = 400 * 64 / size
    assert abs(met - expected).max() < 6 * np.sqrt(expected) and met.min() > 0


def test_samples_meet_every_channel():
    for channels in (1, 3, 16, 96, 100):
        elements, samples = channels * 97, 64
        stride = summaries.stride_of(elements, samples, channels)
        assert gcd(stride, channels) == 1 or stride == 1
        assert (samples - 1) * stride < elements


def test_histogram_equals_the_plain_statistics():
    rng = np.random.default_rng(0)
    sizes = [37, 1, 160]
    rows = rng.standard_normal((3, sum(sizes) + 5)).astype(np.float32)
    rows[rng.random(rows.shape) < 0.3] = 0.0
    first = np.array([0, 40, 41], np.int64)
    expected = [Statistics() for _ in sizes]
    for tensor, (start, size) in enumerate(zip(first, sizes)):
        expected[tensor].update(rows[:, start : start + size])
    slots = 2 * BINS + 16
    counts = tvm.runtime.tensor(np.zeros((3, slots), np.int32))
    base = np.array([s.base for s in expected], np.int32)
    kernel = tvm.compile(histograms.histogram(BINS, SHIFT, slots), target=detect.native().tvm_target())["histogram"]
    kernel(*map(tvm.runtime.tensor, (rows, first, np.array(sizes, np.int64), base)), counts)
    for found, wanted in zip(counts.numpy(), expected):
        histogram = found[: 2 * BINS].reshape(2, BINS).copy()
        histogram[0, max(-wanted.base, 0)] += found[2 * BINS :].sum()
        assert np.array_equal(histogram, wanted.histogram)
