"""Calibration data that do not vary are said."""

from types import SimpleNamespace

import numpy as np
import pytest

from octet.tools.data import warn_of_constant, warn_of_full_masks


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((4, 3), np.float32), "input 'x' is 0 everywhere"),
        (np.full((4, 3), 2.5, np.float32), "input 'x' is 2.5 everywhere"),
        (np.tile(np.arange(3, dtype=np.float32), (4, 1)), "input 'x' is the same in every sample"),
    ],
)
def test_data_that_do_not_vary(array, said, capsys):
    warn_of_constant("calib.npz", {"x": array})
    line = capsys.readouterr().err
    assert line.startswith(f"octet: warning: calib.npz: {said}") and line.count("\n") == 1


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=np.float32).reshape(4, 3),
        np.ones((4, 3), np.int64),
        np.arange(3, dtype=np.float32)[None],
        np.zeros((0, 3), np.float32),
    ],
)
def test_data_that_vary_masks_and_single_samples(array, capsys):
    warn_of_constant("calib.npz", {"x": array})
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("shapes", "array", "said"),
    [
        (2, np.ones((4, 8), np.int64), "input 'mask' is 1 everywhere"),
        (2, np.tri(4, 8, dtype=np.int64), ""),
        (2, np.ones((4, 1), np.int64), ""),
        (1, np.ones((4, 8), np.int64), ""),
    ],
)
def test_masks_that_keep_everything_in_a_package_of_several_lengths(shapes, array, said, capsys):
    warn_of_full_masks("calib.npz", {"mask": array}, SimpleNamespace(shapes=(None,) * shapes))
    line = capsys.readouterr().err
    assert (said in line and line.count("\n") == 1 and "none is shorter than 8" in line) if said else not line
