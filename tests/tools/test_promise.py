"""What held-out samples promise: the exact limit, held against simulation, and nothing said of samples that chose
something."""

import time
from math import log
from statistics import NormalDist

import numpy as np
import pytest

from octet.passes.sensitivity.budget import Budget, cpu_seconds
from octet.tools.evaluating.confidence import CONFIDENCE, Samples, at_least


@pytest.mark.parametrize("equal, count, limit", [(10, 10, 0.05**0.1), (0, 7, 0.0), (29, 30, 0.8514), (90, 100, 0.8363)])
def test_the_exact_limit(equal, count, limit):
    """The last two from tables of the one-sided Clopper-Pearson limit; all equal is a power of 0.05."""
    assert at_least(equal, count) == pytest.approx(limit, abs=1e-4)


@pytest.mark.parametrize("share", [0.6, 0.9, 0.97, 0.995])
@pytest.mark.parametrize("count", [32, 96])
def test_it_holds_as_often_as_it_says(share, count):
    """Of 20,000 simulated held-out sets at least 95 % give a limit that the true share keeps; a limit that always says
    nothing would not come near it."""
    seen = np.random.default_rng(0).binomial(count, share, 20_000)
    limits = np.array([at_least(k, count) for k in range(count + 1)])[seen]
    assert np.mean(limits <= share) >= CONFIDENCE - 0.005
    assert share - limits.mean() < 4.5 * np.sqrt(share * (1 - share) / count) + 3 / count


def test_the_largest_error_holds_as_often_as_it_says():
    rng, count, holds = np.random.default_rng(1), 48, 0
    for _ in range(2000):
        noise = rng.lognormal(size=count)
        samples = Samples()
        samples.add(["y"], {"y": np.ones((count, 1))}, {"y": 1 + noise[:, None]}, {})
        promise = samples.promise(0)
        holds += NormalDist().cdf(log(promise["error"])) >= promise["share"]
    assert abs(holds / 2000 - CONFIDENCE) < 0.015, "exact, so neither more often nor less"


def test_samples_that_chose_and_places_that_do_not_count_are_left_out():
    exact = {"y": np.eye(4, 3) + 1.0, "z": np.ones((4, 2, 2)), "nothing": np.zeros((4, 3))}
    found = {"y": exact["y"].copy(), "z": exact["z"] + 9.0, "nothing": np.zeros((4, 3))}
    found["y"][0] = [0, 0, 9]
    samples = Samples()
    samples.add(["y", "z", "nothing"], exact, found, {"z": np.zeros((4, 2, 1), bool)})
    promise = samples.promise(1)
    assert promise["samples"] == 3 and promise["error"] == 0 and promise["output"] == "y"
    assert promise["same"] == {"y": {"equal": 3, "share": at_least(3, 3)}}
    assert samples.promise(0)["same"]["y"]["equal"] == 3 and samples.promise(0)["error"] > 1
    assert samples.promise(4) is None
    assert samples.worst(1) > samples.worst(4) > 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_has_an_infinite_error_and_is_no_answer(bad):
    """Also where its place would be the largest of fp32, and where fp32 itself has no answer."""
    exact = {"y": np.eye(3, 3, dtype=np.float32) + 1, "z": np.ones((3, 1), np.float32)}
    found = {name: value.copy() for name, value in exact.items()}
    found["y"][0, 0] = exact["y"][1, 1] = found["y"][1, 1] = bad
    samples = Samples()
    samples.add(["y", "z"], exact, found, {})
    promise = samples.promise(0)
    assert promise["error"] == np.inf and promise["output"] == "y" and samples.worst(3) == np.inf
    assert promise["same"]["y"]["equal"] == (1 if np.isnan(bad) else 2)


def test_what_is_tried_by_default_is_counted_in_cpu_time():
    """So that a machine with other work makes the same package: waiting costs nothing, computing does."""
    budget = Budget(1000.0, cpu_seconds)
    before, began = budget.part(0.5).left, time.monotonic()
    time.sleep(0.2)
    waited = time.monotonic() - began
    assert 500 - budget.part(0.5).left < waited / 4 and budget.clock is cpu_seconds
    np.sort(np.random.default_rng(0).random(3_000_000))
    assert budget.part(0.5).left < before - 0.01
