"""Kernels against the measured limits: figures that add up, what is pointed out, and the roofline picture."""

import numpy as np
import pytest

from octet.targets.runtime import Session
from octet.targets.variant import Step
from octet.targets.x86.peak import Peak
from octet.targets.x86.roofline import limit_of
from octet.tools.benchmarking import profile
from octet.tools.console import out
from octet.tools.pages import roofline

PEAK = Peak(1, 1000.0, 100.0, 100.0, 50.0, 10.0)


class Timed(Session):
    """Kernels with given times."""

    def __init__(self, steps):
        self.timed, self.threads, self.target = steps, 1, "amx"

    def profile(self, inputs, repeat=1):
        return self.timed


@pytest.fixture
def kernels():
    steps = [
        (Step("0:quantize", "relax.quantize", "vector", "int8", 0, 5_000, "x_q"), 1e-6),
        (Step("1:conv", "octet.conv2d", "amx", "int8", 10_000_000, 100_000, "conv", "units=4", "record 7"), 40e-6),
        (
            Step("2:depthwise", "octet.conv2d", "depthwise", "int8", 1_000_000, 100_000, "dw", "rows=2", "default"),
            44e-6,
        ),
        (Step("3:softmax", "relax.nn.softmax", "vector", "float32", 0, 40_000, "soft"), 8e-6),
        (Step("4:reformat", "reformat", "vector", "float32", 0, 40_000, "soft"), 11e-6),
    ]
    info = {"operators": {"reasons": [{"name": "soft", "operator": "softmax", "reason": "needs more than 8 bits"}]}}
    return profile.profile_of(Timed(steps), {}, PEAK, info)


def test_limits():
    assert limit_of(PEAK, "int8", 1_000_000, 1_000).compute == pytest.approx(2e-6)
    assert (
        limit_of(PEAK, "float32", 1_000_000, 1_000).compute
        == limit_of(PEAK, "int8", 1_000_000, 1_000, depthwise=True).compute
        == pytest.approx(20e-6)
    )
    assert limit_of(PEAK, "int8", 1_000_000, 1_000, vectors=1000).compute == pytest.approx(2e-6 + 1000 * 32 / 100e9)
    assert limit_of(PEAK, "int8", 1_000_000, 1_000, vectors=1000, tiles=True).compute == pytest.approx(2e-6), (
        "the units work side by side"
    )
    for moved, level, rate in ((1 << 19, "L2", 100e9), (1 << 22, "L3", 50e9), (1 << 26, "memory", 10e9)):
        limit = limit_of(PEAK, "int8", 0, moved)
        assert (limit.bound, limit.level) == (level, level) and limit.seconds == pytest.approx(moved / rate)


def test_figures(kernels):
    assert sum(k["share"] for k in kernels) == pytest.approx(1)
    assert [k["part"] for k in kernels] == ["conversion", "kernel", "kernel", "kernel", "reformat"]
    assert kernels[1]["of_compute"] == pytest.approx(0.5) and kernels[1]["bound"] == "compute"
    assert kernels[3]["why"] == "needs more than 8 bits" and kernels[2]["why"] == ""
    assert np.all([k["limit"] <= k["seconds"] for k in kernels])


def test_the_tables(kernels, capsys):
    profile.print_profile(out(), kernels)
    shown = capsys.readouterr().out
    for words in (
        "record 7",
        "needs more than 8 bits",
        "conversions",
        "reformats",
        "int8 kernels",
        "float kernels",
        "most to gain",
    ):
        assert words in shown, words
    assert "dw" in shown.split("most to gain")[1]


def test_the_picture(kernels):
    pytest.importorskip("matplotlib")
    svg = roofline.roofline(kernels, PEAK.as_dict())
    assert svg.startswith("<svg") and "int8 peak 1000" in svg and "memory 10 GB/s" in svg and "conv" in svg
    assert svg == roofline.roofline(kernels, PEAK.as_dict()), "the same bytes for the same figures"
    assert roofline.roofline(kernels[:1], PEAK.as_dict()).startswith("<svg")
