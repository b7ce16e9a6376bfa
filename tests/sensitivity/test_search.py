"""The search: meets targets, leaves little in float, resumes after a kill, ends with its budget."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from octet.passes.annotate import Recipe
from octet.passes.sensitivity.bench import Bench
from octet.passes.sensitivity.budget import Budget, parse_duration
from octet.passes.sensitivity.design import Design
from octet.passes.sensitivity.improvement import Pace
from octet.passes.sensitivity.journal import Journal
from octet.passes.sensitivity.learn import round_layers
from octet.passes.sensitivity.learnt_files import LearntFiles
from octet.passes.sensitivity.ranking import Ranked, significant_loss
from octet.passes.sensitivity.search import Search
from octet.targets.errors import OctetError, OctetWarning

from ..repair.twin import rescaled_twin


class Synthetic:
    """A bench whose layers cost what a table says: the search alone is tested."""

    rescalable, built, held = True, 0, {"x": [0, 1]}
    COSTS = {"a": 0.004, "b": 0.05, "c": 0.001, "d": 0.02}

    def __init__(self):
        self.asked = 0

    def cost(self, design):
        scaled = 0.5 if design.scaling == "migrate-0.5" else 1.0
        return scaled * sum(cost for name, cost in self.COSTS.items() if name not in design.recipe.float_operators)

    def error(self, design, arrays=None):
        self.asked += 1
        return self.cost(design)

    def outputs(self, design, arrays):
        return design

    def plan(self, design):
        return SimpleNamespace(sums=(), groups=())

    def tensors(self, design):
        return []

    def some(self, measurements):
        return {"x": [0]}


class Table:
    arrays: dict = {}

    def __init__(self, bench):
        self.drop = bench.cost


@pytest.fixture
def synthetic(monkeypatch):
    ranked = [
        Ranked(name, "conv", cost, 0.0, 10) for name, cost in sorted(Synthetic.COSTS.items(), key=lambda item: -item[1])
    ]
    monkeypatch.setattr("octet.passes.sensitivity.search.rank", lambda *arguments: ranked)
    return Synthetic()


def searched(bench, target, **options):
    return Search(bench, Table(bench), target, bench.cost, **options).run(Design(Recipe()), calibrate=False)


def test_a_target_that_holds_at_once_needs_one_step(synthetic):
    outcome = searched(synthetic, 0.1)
    assert outcome.met and len(outcome.steps) == 1 and not outcome.design.repaired


def test_repairs_come_before_float(synthetic):
    outcome = searched(synthetic, 0.04)
    assert outcome.met and outcome.design.scaling == "migrate-0.5" and not outcome.design.recipe.float_operators


def test_the_fewest_layers_are_left_in_float(synthetic):
    outcome = searched(synthetic, 0.006, repair=False)
    assert outcome.met and outcome.design.recipe.float_operators == {"b", "d"}


def test_what_may_be_float_is_limited(synthetic):
    outcome = searched(synthetic, 0.006, repair=False, most_float=0.25)
    assert not outcome.met and outcome.design.recipe.float_operators == {"b"} and outcome.drop == pytest.approx(0.025)


def test_time_for_the_last_compile_is_kept_back(synthetic, monkeypatch):
    """What a search finds must be compiled, which takes as long as the first time."""
    now = [0.0]
    for module in ("budget.time", "search"):
        monkeypatch.setattr(f"octet.passes.sensitivity.{module}.monotonic", lambda: now[0])

    def confirm(design):
        now[0] += 30.0
        return synthetic.cost(design)

    budget = Budget(100.0)
    Search(synthetic, Table(synthetic), 0.006, confirm, budget=budget, repair=False, most_float=0.0).run(
        Design(Recipe()), calibrate=False
    )
    assert budget.left == 40.0 and now[0] == 30.0


def test_a_spent_budget_keeps_the_best_so_far(synthetic):
    outcome = searched(synthetic, 0.006, budget=Budget(0.0))
    assert not outcome.met and outcome.drop == pytest.approx(0.075) and len(outcome.steps) == 1


def test_what_would_take_longer_than_its_part_is_left_out_and_float_layers_get_their_turn(synthetic, monkeypatch):
    """Of 100 s improvements may take half; a build takes 30."""
    monkeypatch.setattr("octet.passes.sensitivity.search.Pace", lambda few: Pace(error=0.1, build=30.0))
    outcome = searched(synthetic, 0.006, budget=Budget(100.0))
    assert outcome.met and outcome.design.recipe.float_operators == {"b", "d"}
    left_out = [step.name for step in outcome.steps if "left out" in step.name]
    assert [name.partition(":")[0] for name in left_out] == ["rescaled channels", "corrected biases", "learnt rounding"]
    assert "about 120 s where 50 s are left for it" in left_out[0]


def test_where_nothing_can_be_rescaled_nothing_is_tried(synthetic):
    synthetic.rescalable = False
    outcome = searched(synthetic, 0.04)
    assert (
        outcome.met and outcome.design.recipe.float_operators and not any(step.design.scaling for step in outcome.steps)
    )


def test_the_best_without_float_layers_is_compiled_before_the_search_goes_on(synthetic):
    outcome = searched(synthetic, 0.001, most_float=0.0)
    compiled = [step for step in outcome.steps if step.compiled]
    assert [step.name for step in compiled] == ["as calibrated", "repaired"] and outcome.design.scaling == "migrate-0.5"


def test_a_search_goes_on_where_it_was_killed(synthetic, tmp_path):
    path = tmp_path / "state"
    first = searched(synthetic, 0.006, journal=Journal(path, "x"))
    asked, synthetic.asked = synthetic.asked, 0
    second = searched(synthetic, 0.006, journal=Journal(path, "x"))
    assert asked > 0 and synthetic.asked == 0 and second.design == first.design
    searched(synthetic, 0.006, journal=Journal(path, "another identity"))
    assert synthetic.asked == asked


def test_what_repairs_learnt_is_found_again(small_model, calibration, tmp_path, monkeypatch):
    design, bench, count = Design(Recipe(), rounding=True, biases=True), Bench(small_model, calibration, threads=1), 0

    def counted(*arguments, **options):
        nonlocal count
        count += 1
        return round_layers(*arguments, **options)

    def error(path, identity):
        """Of a bench that knows nothing but its files."""
        bench._forget()
        bench.learnt_files = LearntFiles(path, identity)
        return bench.error(design)

    monkeypatch.setattr("octet.passes.sensitivity.learner.round_layers", counted)
    wanted = error(tmp_path / "state", "x")
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("state.learnt-")
    assert error(tmp_path / "state", "x") == wanted and count == 1
    file.write_bytes(file.read_bytes()[:100])
    with pytest.warns(OctetWarning, match="it is learnt again"):
        assert error(tmp_path / "state", "x") == wanted, "half a file is none"
    assert error(tmp_path / "state", "y") == wanted and count == 3 and len(list(tmp_path.iterdir())) == 2
    LearntFiles(tmp_path / "state").remove()
    assert not list(tmp_path.iterdir())


def test_a_broken_state_file_is_started_anew(tmp_path):
    path = tmp_path / "state"
    path.write_text('{"identity": "x", "measure')
    with pytest.warns(OctetWarning, match="state: the state of an earlier search cannot be used"):
        assert Journal(path, "x").get("k", lambda: 1.5) == 1.5
    assert json.loads(path.read_text())["measurements"] == {"k": 1.5}
    Journal(path, "x").remove()
    assert not path.exists()


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400)])
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1m", "infh"])
def test_bad_durations(text):
    with pytest.raises(OctetError, match="--budget"):
        parse_duration(text)


def test_building_and_learning_are_not_taken_for_the_time_of_an_error(synthetic, monkeypatch):
    """A build of 10 s among errors of 0.1 s."""
    now, networks = [0.0], {Design(Recipe())}
    monkeypatch.setattr("octet.passes.sensitivity.search.monotonic", lambda: now[0])

    def error(design, arrays=None):
        network = replace(design, recipe=Recipe())
        built = network not in networks
        networks.add(network)
        synthetic.built += built
        now[0] += 10.0 if built else 0.1
        return synthetic.cost(design)

    synthetic.error = error
    search = Search(synthetic, Table(synthetic), 0.0, synthetic.cost, free=("activations",), most_float=0.0)
    search.run(Design(Recipe()), calibrate=True)
    assert search.pace.error == pytest.approx(0.1) and search.pace.build == pytest.approx(10.0)
    assert "symmetric activations" in [step.name for step in search.outcome.steps]


def test_chance_flips_rank_nothing():
    before = np.zeros(100, np.int8)
    one, many = before.copy(), before.copy()
    one[:2], many[:20] = 1, 1
    assert significant_loss(before, one) == 0.0 and significant_loss(before, many) == 0.2


def test_a_rescaled_twin_is_recovered(small_model, calibration, judge_of):
    twin = Bench(small_model.with_module(rescaled_twin(small_model.module)), calibration, threads=1)
    judge = judge_of(twin)
    plain = Design(Recipe())
    outcome = Search(
        twin, judge, -1.0, lambda design: judge.drop(twin.outputs(design, judge.arrays)), most_float=0.0
    ).run(plain, calibrate=False)
    assert outcome.design.scaling or any(step.kept and step.design.scaling for step in outcome.steps)
    best = min(step.error for step in outcome.steps)
    assert best < twin.error(plain) / 4, "the repairs remove most of the noise"


def test_where_the_compiled_network_misses_layers_follow_one_by_one_and_then_more(synthetic, monkeypatch):
    """Simulated one layer is enough; compiled, nothing is."""
    ranked = [Ranked(str(i), "conv", 1.0, 0.0, 10) for i in range(40)]
    monkeypatch.setattr("octet.passes.sensitivity.search.rank", lambda *arguments: ranked)
    judge = Table(synthetic)
    judge.drop = lambda design: 0.0 if design.recipe.float_operators else 1.0
    search = Search(synthetic, judge, 0.006, lambda design: 1.0, repair=False, most_float=1.0)
    outcome = search.run(Design(Recipe()), calibrate=False)
    counts = [len(step.design.recipe.float_operators) for step in outcome.steps if step.compiled]
    assert not outcome.met and counts[:8] == [0, 1, 2, 3, 4, 5, 7, 11] and counts[-1] == 40
