"""Calibrators are chosen by the error of the outputs, and measured in one pass."""

import pytest

from octet.passes.annotate import Recipe
from octet.passes.sensitivity.bench import Bench
from octet.passes.sensitivity.budget import Budget
from octet.passes.sensitivity.choices.choose_calibration import choose_calibration, refined_by_tensor
from octet.passes.sensitivity.choices.ranges import CALIBRATIONS
from octet.passes.sensitivity.design import Design
from octet.passes.sensitivity.journal import Journal
from octet.passes.sensitivity.observe import statistics_of


def test_calibration_is_chosen_by_error(bench):
    steps = []
    chosen = choose_calibration(bench, Design(Recipe(calibrator="auto")), Journal(), log=steps.append)
    assert chosen.recipe.calibrator != "auto" and len(steps) >= 7
    assert bench.error(chosen) <= min(step.error for step in steps)


class Preferring:
    """A network whose outputs like one calibrator best, whatever a tensor's own error says."""

    def __init__(self, calibrator, percentile):
        self.best = (calibrator, percentile)

    def error(self, design, arrays=None):
        recipe = design.recipe
        return 0.01 if (recipe.calibrator, recipe.percentile) == self.best else 0.02

    def tensors(self, design):
        return []

    def some(self, measurements):
        return {}


@pytest.mark.parametrize(("calibrator", "percentile"), CALIBRATIONS)
def test_auto_takes_the_calibrator_of_least_error_of_that_model(calibrator, percentile):
    chosen = choose_calibration(Preferring(calibrator, percentile), Design(Recipe(calibrator="auto")), Journal())
    assert (chosen.recipe.calibrator, chosen.recipe.percentile) == (calibrator, percentile)


@pytest.mark.parametrize(("on_all", "taken"), [(0.5, True), (1.5, False)])
def test_what_few_samples_like_must_hold_on_all(on_all, taken):
    """Another calibrator of one tensor halves the error on the few samples; on all it is `on_all` times as large."""

    class Rough:
        def tensors(self, design):
            return ["a", "b"]

        def some(self, measurements):
            return {}

        def error(self, design, arrays=None):
            return 0.5 if any(tensor == "a" for tensor, *_ in design.recipe.per_tensor) else 1.0

    def error(design):
        return on_all if design.recipe.per_tensor else 1.0

    found = refined_by_tensor(Rough(), Design(Recipe()), error, Journal(), lambda *a: None, Budget())
    assert [tensor for tensor, *_ in found.recipe.per_tensor] == (["a"] if taken else [])


def test_every_calibrator_comes_out_of_one_pass(small_model, calibration):
    passes, measured = [], []

    def counting(*arguments):
        passes.append(arguments)
        return statistics_of(*arguments)

    bench = Bench(small_model, calibration, threads=1, measure=counting)
    for name, percentile in CALIBRATIONS:
        ranges = bench.ranges(Design(Recipe(calibrator=name, percentile=percentile)))
        measured.append({tensor: max(map(abs, qparams.range)) for tensor, (_, qparams) in ranges.items()})
    assert len(passes) == 1, "no sample runs twice"
    percentiles = [found for found, (name, _) in zip(measured, CALIBRATIONS) if name == "percentile"]
    assert [percentile for name, percentile in CALIBRATIONS if name == "percentile"] == [99.9, 99.99, 99.999, 99.9999]
    for tensor in percentiles[0]:
        widths = [found[tensor] for found in percentiles]
        assert widths == sorted(widths) and widths[-1] <= measured[1][tensor] * 1.001, tensor
    assert any(found[0] < found[-1] for found in zip(*(found.values() for found in percentiles)))
