"""The accumulator equals the plain statistics of the values that it is given, whatever the number of runs."""

import ctypes

import numpy as np
import pytest

from octet.passes.annotate import Recipe
from octet.passes.calibrate.accumulate import ROWS, Accumulator, NonFinite
from octet.passes.calibrate.observers import find_range
from octet.passes.calibrate.statistics import Statistics
from octet.targets.x86.elementwise.summary import HEADER, SUMMARY

from .conftest import assert_equal_statistics


def summary_of(values):
    header = np.zeros(HEADER, np.float32)
    header[SUMMARY : SUMMARY + 4] = values.min(), values.max(), np.count_nonzero(values == 0), (values * 0).sum()
    return np.concatenate([header, values])


@pytest.mark.parametrize("runs", [1, ROWS - 1, ROWS, 2 * ROWS + 3])
def test_equals_plain_statistics(runs):
    rng = np.random.default_rng(0)
    sizes = [40, 7, 100]
    accumulator, expected = Accumulator(sizes, sizes), [Statistics() for _ in sizes]
    for _ in range(runs):
        values = [
            (rng.standard_normal(size) * 2.0 ** rng.integers(-20, 20)).astype(np.float32) * (rng.random(size) < 0.7)
            for size in sizes
        ]
        accumulator.add([summary_of(v.astype(np.float32)) for v in values])
        for statistics, v in zip(expected, values):
            statistics.update(v)
    for found, wanted in zip(accumulator.finish(), expected):
        assert_equal_statistics(found, wanted)


def test_chosen_values_stand_for_the_others_and_extremes_for_themselves():
    rng, elements, chosen = np.random.default_rng(2), 98, 16
    accumulator, wanted = Accumulator([elements], [chosen]), Statistics()
    for _ in range(ROWS + 3):
        values = rng.standard_normal(elements).astype(np.float32)
        values[5] = 100.0
        summary = summary_of(values)[: HEADER + chosen]
        summary[HEADER:] = values[-chosen:]  # The outlier is in no choice.
        accumulator.add([summary])
        wanted.extend(elements, 0, 0, values.min(), values.max())
        for _ in range(6):  # There are (98 - 2) / 16 whole bins.
            wanted.add(values[-chosen:])
        wanted.add(np.array([values.min(), values.max()]))
    (found,) = accumulator.finish()
    assert np.array_equal(found.histogram, wanted.histogram)
    assert found.histogram.sum() == found.count  # 6 * 16 + 2 are all 98.
    assert find_range(found, Recipe(calibrator="mse"), "symmetric")[1] > 90, (
        "a rare outlier weighs more than finer steps for the others"
    )


def test_names_the_first_run_that_is_not_finite():
    accumulator = Accumulator([4, 4], [4, 4])
    good, bad = np.ones(4, np.float32), np.array([1, np.nan, 1, 1], np.float32)
    for run in range(3):
        accumulator.add([summary_of(good), summary_of(bad if run == 1 else good)])
    with pytest.raises(NonFinite) as error:
        accumulator.finish()
    assert (error.value.tensor, error.value.run) == (1, 1)


class Packed:
    """Writes summaries where an executor with one array for all results does: with gaps between them."""

    starts, size = [0, 320, 608], 1008

    def __init__(self, runs):
        self.runs = iter(runs)

    def into(self, feed, row):
        row = np.ctypeslib.as_array((ctypes.c_float * self.size).from_address(row))
        row[:] = np.nan  # What lies between belongs to no tensor.
        for start, values in zip(self.starts, next(self.runs)):
            row[start : start + values.size] = values


def test_summaries_that_runs_write_in_place_count_alike():
    rng = np.random.default_rng(1)
    sizes = [40, 7, 100]
    runs = [[summary_of(rng.standard_normal(size).astype(np.float32)) for size in sizes] for _ in range(ROWS + 5)]
    plain, packed = Accumulator(sizes, sizes), Accumulator(sizes, sizes, Packed.starts, Packed.size)
    executor = Packed(runs)
    for run in runs:
        plain.add(run)
        packed.add_from(executor, {})
    for found, wanted in zip(packed.finish(), plain.finish()):
        assert_equal_statistics(found, wanted)
