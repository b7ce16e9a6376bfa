"""The small plots: what they show, and constant data."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from octet.passes.calibrate.qparams import choose
from octet.passes.calibrate.statistics import Statistics
from octet.tools.pages.small_plots import _ticks, channels, histogram_plot


def statistics_of(values):
    found = Statistics()
    found.update(np.asarray(values, np.float32))
    return found


def test_clipped_values_are_red():
    values = np.linspace(-4, 4, 1000)
    text = histogram_plot(statistics_of(values), choose(-2, 2, "affine"))
    red, blue = (re.search(rf'd="([^"]*)" fill="{colour}"', text)[1].count("Z") for colour in ("#dc2626", "#2563eb"))
    assert 55 <= red <= 61 and red + blue == 120, "half of the range is clipped"
    assert 'd="" fill="#dc2626"' in histogram_plot(statistics_of(values), choose(-4, 4, "affine"))
    ElementTree.fromstring(text)


def test_a_line_for_every_channel():
    weight = np.random.default_rng(0).standard_normal((7, 3, 3, 3)).astype(np.float32)
    text = channels(weight, 0)
    assert re.search(r'd="([^"]*)" stroke="#0f766e"', text)[1].count("M") == 7
    assert channels(weight, 1).count("M") < text.count("M")
    ElementTree.fromstring(text)


def test_constant_data_have_no_plot():
    assert histogram_plot(statistics_of(np.zeros(5)), choose(0, 0, "symmetric")).count("Z") <= 1
    assert channels(np.zeros((4, 2)), 0) == ""
    assert channels(np.ones((1, 2)), 0).startswith("<svg")


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (-3.4, 3.5, [-2, 0, 2]), (0, 1e-6, [0, 2e-7, 4e-7, 6e-7, 8e-7, 1e-6])],
)
def test_ticks_are_round(low, high, ticks):
    assert _ticks(low, high) == pytest.approx(ticks)
