"""Calibration data that do not vary are said."""

import numpy as np
import pytest

from octet.tools.data import warn_of_constant


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
