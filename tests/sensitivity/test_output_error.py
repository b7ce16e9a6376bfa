"""The error of a network is that of its worst output."""

import numpy as np
import pytest

from octet.passes.sensitivity.output_error import OutputErrors, relative_error

EXACT = {"a": np.array([[3.0, 4.0]], np.float32), "b": np.array([[10.0]], np.float32), "n": np.array([[7]], np.int64)}


def outputs(a=0.0, b=0.0):
    return {"a": EXACT["a"] + np.float32(a), "b": EXACT["b"] + np.float32(b), "n": EXACT["n"] + 1}


def test_the_worst_output_counts_or_those_chosen():
    found = outputs(a=1.0, b=2.0)
    assert relative_error(EXACT, found) == pytest.approx(2 / 25)
    assert relative_error(EXACT, found, ("b",)) == pytest.approx(4 / 100)
    assert relative_error(EXACT, found, ("n",)) == 0.0


def test_runs_add_up_to_the_whole():
    errors = OutputErrors()
    errors.add(EXACT, outputs(a=1.0))
    errors.add(EXACT, outputs(b=2.0))
    assert errors.relative == {
        "a": pytest.approx(1 / 25),
        "b": pytest.approx(2 / 100),
    } and errors.worst == pytest.approx(1 / 25)


def test_an_output_that_is_zero_is_not_judged_but_named():
    errors = OutputErrors()
    errors.add(
        {"z": np.zeros((2, 3), np.float32), "b": EXACT["b"]}, {"z": np.full((2, 3), 1e-3, np.float32), "b": EXACT["b"]}
    )
    assert errors.zero == ("z",) and errors.relative == {"b": 0.0} and errors.worst == 0.0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_the_worst_unless_fp32_is_not_either(bad):
    assert relative_error(EXACT, outputs() | {"b": np.array([[bad]], np.float32)}) == np.inf
    assert (
        relative_error(
            EXACT | {"b": np.array([[-np.inf]], np.float32)}, outputs() | {"b": np.array([[bad]], np.float32)}
        )
        == 0.0
    )
    assert relative_error({"z": np.zeros((1, 1), np.float32)}, {"z": np.array([[bad]], np.float32)}) == np.inf
