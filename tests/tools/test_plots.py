"""Plots of the reports where figures are not finite: drawn, with the word beside them."""

import warnings

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from octet.passes.sensitivity.layer_errors import LayerError
from octet.tools.pages import plots

INF, NAN = np.inf, np.nan


@pytest.mark.parametrize(
    "drawn",
    [
        lambda: plots.steps_plot(
            [("as calibrated", -INF, True), ("calibrator max", 30.0, False), ("exact", INF, False)]
        ),
        lambda: plots.before_after([("mse", 0.5, INF, "0.5", "inf"), ("sqnr", 200.0, NAN, "200", "nan")]),
        lambda: plots.noise([(1, "a", LayerError("a", "conv", INF, INF)), (2, "b", LayerError("b", "conv", 0.1, INF))]),
        lambda: plots.sensitivity([{"name": "a", "error": INF}, {"name": "b", "error": 0.1}], ()),
        lambda: plots.intervals(
            [("one", INF, INF, INF, True), ("two", NAN, 0.0, INF, False), ("three", 0.0, 0.0, 0.0, True)], 0.01
        ),
    ],
    ids=["steps", "before and after", "noise", "sensitivity", "intervals"],
)
def test_what_is_not_finite_is_drawn(drawn):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = drawn()
    assert text.startswith("<svg") and "NaN" not in text and ">-inf" not in text


def test_a_step_that_is_not_finite_says_so():
    assert "not finite" in plots.steps_plot([("as calibrated", -INF, True), ("calibrator max", 30.0, False)])


def test_what_a_broken_layer_inherits_is_unknown():
    assert LayerError("a", "conv", INF, INF).inherited == 0.0 and LayerError("a", "conv", 0.25, INF).inherited == INF
