"""Samples that ranges do not come from."""

import numpy as np

from octet.passes.calibrate.held_out import MOST, first_half, hold_out, spread


def test_held_out_samples_are_not_fitted_to():
    fit, held = hold_out({"x": np.arange(100)})
    assert not set(fit["x"]) & set(held["x"]) and len(held["x"]) == 25 and len(fit["x"]) == 75
    assert len(hold_out({"x": np.arange(2000)})[1]["x"]) <= MOST


def test_a_run_is_held_out_as_a_whole():
    """Its samples may be the steps of one sequence."""
    fit, held = hold_out({"x": np.arange(35), "y": np.arange(35) * 2}, batch=5)
    assert held["x"].tolist() == [15, 16, 17, 18, 19] and held["y"].tolist() == [30, 32, 34, 36, 38]
    assert sorted([*fit["x"], *held["x"]]) == list(range(35))


def test_a_few_samples_do_both():
    for count, batch in ((7, 1), (15, 5)):
        fit, held = hold_out({"x": np.arange(count)}, batch)
        assert fit["x"].tolist() == held["x"].tolist() == list(range(count))


def test_half_of_what_is_held_out_may_choose_where_both_halves_say_something():
    """In whole runs; a few samples are not divided."""
    assert first_half({"x": np.arange(25)})["x"].tolist() == list(range(13))
    assert first_half({"x": np.arange(30)}, batch=10)["x"].tolist() == list(range(20))
    assert (
        len(first_half({"x": np.arange(15)})["x"]) == 15 and len(first_half({"x": np.arange(16)}, batch=16)["x"]) == 16
    )


def test_a_few_are_spread_over_all_in_whole_runs():
    assert spread({"x": np.arange(100)}, 4)["x"].tolist() == [0, 33, 66, 99]
    assert spread({"x": np.arange(35)}, 8, batch=5)["x"].tolist() == [*range(5), *range(30, 35)]
    assert spread({"x": np.arange(3)}, 8)["x"].tolist() == [0, 1, 2]
