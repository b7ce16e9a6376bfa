"""What was taken for its estimated time is taken back, the last thing first, where the clock says clearly more."""

from types import SimpleNamespace

import pytest

from octet.passes.annotate import Recipe
from octet.passes.sensitivity.attempt import Attempt
from octet.passes.sensitivity.design import Design
from octet.targets import detect
from octet.tools.building import choices, measured_cost
from octet.tools.building.options import BuildOptions

from ..policy.conftest import quantize, sequence  # noqa: F401 - a fixture

PLAIN = Design(Recipe())
SUMS = PLAIN.with_recipe(residuals="float")
BOTH = SUMS.with_recipe(attention="float")
SECONDS = {PLAIN: 1.0, SUMS: 1.1, BOTH: 1.3}
HERE = SimpleNamespace(backend=SimpleNamespace(estimates=True), features=())
ELSEWHERE = SimpleNamespace(backend=SimpleNamespace(estimates=True), features=("an instruction of tomorrow",))


@pytest.fixture
def tried(monkeypatch):
    """tried(ratios by the clock, one after the other) -> (Choices with sums and attention taken, how often it was
    measured)."""

    def made(*ratios, seconds=SECONDS):
        asked = iter(ratios)
        monkeypatch.setattr(choices, "estimated_seconds", lambda bench, options, design: seconds[design])
        monkeypatch.setattr(choices, "measured_cost", lambda plain, variant, options: next(asked))
        bench = SimpleNamespace(hub=lambda design: design)
        steps = [
            Attempt("as calibrated", 0.5, None, True, PLAIN),
            Attempt("sums", 0.1, None, True, SUMS, slower=1.2),
            Attempt("attention", 0.05, None, True, BOTH, slower=1.2),
            Attempt("a table", 0.04, None, False, BOTH),
        ]
        asks = SimpleNamespace(scout=lambda: bench)
        return choices.Choices(asks, BuildOptions(), lambda text: None, steps, began=0.0), asked

    return made


def kept(found):
    return [step.name for step in found.steps if step.kept]


def test_what_is_worth_its_measured_time_stays(tried):
    found, _ = tried(1.4)
    assert found.without_what_is_too_slow(SimpleNamespace(variants=[HERE])) is None
    assert kept(found)[1:] == ["sums", "attention", "all that was taken, +40.0% of the time, measured"]


def test_the_last_thing_goes_first_and_what_is_left_is_measured_again(tried):
    found, left = tried(1.7, 1.1)
    package = SimpleNamespace(variants=[HERE])
    assert found.without_what_is_too_slow(package) == SUMS and kept(found) == ["as calibrated", "sums"]
    assert found.steps[-1].name == "all that was taken, +70.0% of the time, measured"
    assert found.without_what_is_too_slow(package) is None and next(left, None) is None
    assert kept(found)[1:] == ["sums", "all that was taken, +10.0% of the time, measured"]


def test_nothing_may_be_left_of_it(tried):
    found, _ = tried(1.7, 1.7)
    package = SimpleNamespace(variants=[HERE])
    assert [found.without_what_is_too_slow(package) for _ in range(3)] == [SUMS, PLAIN, None]
    assert kept(found) == ["as calibrated"]


@pytest.mark.parametrize(
    ("variants", "seconds"),
    [([ELSEWHERE], SECONDS), ([HERE], dict.fromkeys(SECONDS, 1.0))],
    ids=["none of it runs here", "it costs too little to be told by a clock"],
)
def test_not_measured(tried, variants, seconds):
    found, left = tried(9.0, seconds=seconds)
    before = list(found.steps)
    assert found.without_what_is_too_slow(SimpleNamespace(variants=variants)) is None
    assert found.steps == before and next(left) == 9.0


def test_trying_takes_what_the_compilation_so_far_left():
    left = [choices.seconds_far(spent) for spent in (0.0, 50.0, 1000.0)]
    assert left == [choices.SECONDS_FAR, choices.SECONDS_FAR - 50.0, choices.SECONDS]


def test_it_is_measured_beside_the_other_design_built_for_the_same_target(quantize, monkeypatch):  # noqa: F811
    hub, spec = quantize(sequence), detect.native()
    compared = []
    monkeypatch.setattr(
        measured_cost, "compare_times", lambda *pair: compared.append(pair) or {"int8_ms": 2.0, "chosen_ms": 3.0}
    )
    chosen = SimpleNamespace(target=spec.name)
    assert measured_cost.measured_cost(hub, chosen, BuildOptions(threads=2)) == 1.5
    [(plain, beside, threads)] = compared
    assert beside is chosen and threads == 1 and plain.target == spec.name
