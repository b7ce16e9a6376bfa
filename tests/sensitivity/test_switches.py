"""Residual sums and attention go to float where that removes most of the error for little time, and only then."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tvm import relax

from octet.passes.annotate import Recipe
from octet.passes.frontend.onnx import load_onnx
from octet.passes.pipeline import canonicalize
from octet.passes.repair.weights import layers_of, replace_constants
from octet.passes.sensitivity import libraries as libraries_module
from octet.passes.sensitivity.bench import Bench
from octet.passes.sensitivity.budget import Budget
from octet.passes.sensitivity.choices.choose_calibration import choose_ranges
from octet.passes.sensitivity.choices.switches import FAR, choose_smoothing, choose_switches, switches_of
from octet.passes.sensitivity.design import Design
from octet.passes.sensitivity.few import FEW, few_for_ranges, few_of, soon_learnt
from octet.passes.sensitivity.libraries import Libraries
from octet.passes.sensitivity.observe import statistics_of
from octet.targets.variant import TensorSpec

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "repair"))
import attention


def chosen(errors, seconds=lambda design: 1.0, options=("residuals", "attention"), **more):
    """errors: by (residuals, attention)."""
    steps = []
    design = choose_switches(
        Design(Recipe()),
        options,
        lambda d: errors[d.recipe.residuals, d.recipe.attention],
        seconds,
        steps.append,
        **more,
    )
    return (design.recipe.residuals, design.recipe.attention), steps


BAD = {("int8", "int8"): 0.3, ("float", "int8"): 0.05, ("int8", "float"): 0.28, ("float", "float"): 0.01}


def test_one_after_the_other_as_long_as_it_is_worth_it():
    assert chosen(BAD)[0] == ("float", "float")
    found, steps = chosen(BAD | {("float", "float"): 0.04})
    assert steps[-1].name == "residual sums and attention in float"
    assert found == ("float", "int8") and [step.kept for step in steps] == [True, False, False]
    assert steps[0].name == "residual sums in float, +0.0% of the estimated time"


def test_what_was_tried_is_named_once():
    near = {("int8", "int8"): 3e-3, ("float", "int8"): 2.9e-3, ("int8", "float"): 1.5e-3}
    costly = chosen(near, lambda design: 1.0 + 2 * (design.recipe.attention == "float"))
    assert costly[0] == ("int8", "int8") and [step.kept for step in costly[1]] == [False, False]


def test_nothing_is_tried_where_int8_is_good():
    assert chosen(BAD | {("int8", "int8"): 2e-4}) == (("int8", "int8"), [])


def test_what_costs_time_stays_in_int8():
    def costing(more):
        return lambda design: 1.0 + more * (design.recipe.residuals == "float")

    near = {key: error / 100 for key, error in BAD.items()}
    found, steps = chosen(near, costing(0.31))
    assert found[0] == "int8" and "+31.0% of the estimated time" in steps[0].name
    assert chosen(near, costing(0.29))[0][0] == "float"
    # Far from fp32 accuracy is worth more time.
    assert chosen(BAD, costing(0.49))[0][0] == "float" and chosen(BAD, costing(0.51))[0][0] == "int8"


def smoothed(errors, seconds=lambda design: 1.0, **more):
    """errors: by scaling."""
    steps = []
    design = choose_smoothing(
        Design(Recipe()), ("smooth", "smooth-tables"), lambda d: errors[d.scaling], seconds, steps.append, **more
    )
    return design.scaling, [step.kept for step in steps]


def test_outlier_channels_are_multiplied_where_that_is_worth_its_time():
    errors = {"": 0.02, "smooth": 0.009, "smooth-tables": 0.006}
    assert smoothed(errors) == ("smooth-tables", [True])
    assert smoothed(
        errors | {"smooth-tables": 0.0001}, lambda design: 1.51 if design.scaling == "smooth-tables" else 1.0
    ) == ("smooth", [False, True])
    assert smoothed(errors | {"smooth-tables": 0.0115}) == ("smooth-tables", [True])
    assert smoothed(errors | {"smooth": 0.015, "smooth-tables": 0.0125}) == ("", [False, False])
    assert smoothed({"": 5e-4}) == ("", [])
    assert smoothed(errors, spent=lambda: True) == ("", [False, False])  # Both are named as left out.


def test_two_bytes_everywhere_where_two_bytes_behind_functions_leave_it_far_from_fp32():
    def found(errors, ratio=1.1):
        steps = []
        seconds = lambda design: ratio if design.scaling == "split-all" else 1.0  # noqa: E731
        design = choose_smoothing(
            Design(Recipe()), ("smooth", "split", "split-all"), lambda d: errors[d.scaling], seconds, steps.append
        )
        return design.scaling, len(steps)

    errors = {"": 0.02, "smooth": 0.015, "split": 0.006, "split-all": 0.003}
    assert found(errors) == ("split-all", 2)
    assert found(errors, ratio=1.45) == ("split-all", 2) and found(errors, ratio=1.55) == ("split", 2)
    assert found(errors | {"split-all": 0.005}) == ("split", 2)  # It removes too little.
    assert found(errors | {"split": 0.003, "split-all": 0.001}) == ("split", 1)  # The first is near enough.
    assert found(errors | {"split": 0.018}) == ("", 2)  # Neither split nor smooth was worth it.


def ranged(errors, free=("calibrator",), masked=True, **more):
    """(calibrator, percentile, activations, softmax), names of what was kept, how many were tried. errors: by any of
    those four; 0.05 of those that are missing. masked: whether no softmax can be a table."""
    steps = []

    def error(design):
        recipe = design.recipe
        own = (recipe.calibrator, recipe.percentile) if recipe.calibrator != "mse" else ("mse",)
        changed = recipe.activations if recipe.activations != "affine" else recipe.softmax
        return errors.get(own if changed == "float" else changed, 0.05)

    plan = lambda design: SimpleNamespace(groups=[None] * (1 + (design.recipe.softmax == "table" and not masked)))  # noqa: E731
    recipe = choose_ranges(Design(Recipe()), free, plan, error, steps.append, far=FAR, **more).recipe
    found = recipe.calibrator, recipe.percentile, recipe.activations, recipe.softmax
    return found, [step.name for step in steps if step.kept], len(steps)


AS_IT_WAS = ("mse", 99.99, "affine", "float")


def test_far_from_fp32_another_calibrator_is_taken_where_it_brings_the_network_much_nearer():
    assert ranged({("mse",): 0.02, ("percentile", 99.9): 0.01}) == (
        ("percentile", 99.9, "affine", "float"),
        ["calibrator percentile 99.9"],
        6,
    )
    assert ranged({("mse",): 0.02, ("percentile", 99.9): 0.013}) == (AS_IT_WAS, [], 6)
    assert ranged({("mse",): 0.003, ("percentile", 99.9): 0.0001}) == (AS_IT_WAS, [], 0)  # The first is near enough.
    assert ranged({("mse",): 0.02}, spent=lambda: True) == (AS_IT_WAS, [], 6)  # All are named as left out.


def test_symmetric_ranges_and_softmax_by_a_table_are_among_them():
    errors, free = {("mse",): 0.02, "symmetric": 0.009, "table": 0.01}, ("calibrator", "activations", "softmax")
    assert ranged(errors, free) == (("mse", 99.99, "symmetric", "float"), ["symmetric activations"], 7)
    assert ranged(errors, free, masked=False)[2] == 8
    found = ranged(errors | {"table": 0.008}, free, masked=False)
    assert found[:2] == (("mse", 99.99, "affine", "table"), ["softmax by a table"])
    assert ranged(errors, ())[2] == 0  # The user fixed all of them.


def test_what_the_user_fixed_is_not_tried():
    found, steps = chosen(BAD, options=("attention",))
    assert found == ("int8", "int8") and [step.design.recipe.residuals for step in steps] == ["int8"]


def test_a_budget_that_ended_changes_nothing():
    found, steps = chosen(BAD, spent=lambda: True)
    assert found == ("int8", "int8") and [(step.error, step.kept) for step in steps] == [(None, False)] * 2
    assert steps[0].name == "residual sums in float: left out, there is no time for it (--budget)"


def test_what_there_is_time_for_is_tried_and_the_rest_named():
    answers = iter([False, True, True])
    found, steps = chosen(BAD, spent=lambda: next(answers))
    assert found == ("float", "int8")
    assert [step.name for step in steps] == [
        "attention in float: left out, there is no time for it (--budget)",
        "residual sums in float, +0.0% of the estimated time",
    ]


@pytest.mark.parametrize(
    ("sums", "product", "found"),
    [(True, True, ("residuals", "attention")), (False, True, ("attention",)), (False, False, ())],
)
def test_only_what_the_network_has(sums, product, found):
    plan = SimpleNamespace(sums={"s"} if sums else set(), groups=[SimpleNamespace(product=product)])
    assert switches_of(plan, ("residuals", "attention")) == found
    assert switches_of(plan, ()) == ()


def test_a_part_of_a_budget_ends_before_the_whole():
    whole = Budget(100.0)
    assert 20 < whole.part(0.25).left <= 25 and Budget().part(0.5).left is None


def test_a_transformer_with_outlier_channels_gets_float_sums(tmp_path):
    levels = np.ones(attention.WIDTH)
    levels[[3, 11]] = 400
    model = canonicalize(load_onnx(attention.save(tmp_path / "block.onnx", fused=False, levels=levels)))
    x = np.random.default_rng(0).standard_normal((32, attention.TOKENS, attention.WIDTH)) * levels
    samples = {"x": np.concatenate([x] * 4).astype(np.float32)}
    calibrations = []

    def measure(module, tensors, some, *more):
        calibrations.append(len(some["x"]))
        return statistics_of(module, tensors, some, *more)

    bench, design = Bench(model, samples, threads=1, measure=measure), Design(Recipe())
    scout = bench.scout()
    scout.expect([design.recipe])
    options = switches_of(bench.plan(design), ("residuals", "attention"))
    assert options == ("residuals", "attention")
    found = choose_switches(design, options, scout.error, lambda design: 1.0, lambda step: None)
    assert found.recipe.residuals == "float" and not calibrations  # The scout had its few samples only.
    assert bench.error(found) < bench.error(design) / 3 and set(calibrations) == {96}


def test_a_scout_judges_by_samples_that_it_does_not_calibrate_with(bench):
    scout = bench.scout()
    rows = lambda samples: {row.tobytes() for row in samples["x"]}
    assert rows(scout.fit) < rows(bench.fit) and len(scout.fit["x"]) == FEW and rows(scout.held) == rows(bench.few)
    assert scout.libraries is bench.libraries and scout.learnt_files is not bench.learnt_files


def test_a_large_network_is_run_on_fewer_samples(small_model):
    def with_rows(rows):
        x = relax.Var("x", relax.TensorType([1, rows, 1000], "float32"))
        builder = relax.BlockBuilder()
        with builder.function("main", [x]):
            with builder.dataflow():
                result = builder.emit_output(relax.op.matmul(x, relax.const(np.zeros((1000, 1000), np.float32))))
            builder.emit_func_output(result)
        return SimpleNamespace(module=builder.get(), inputs=(TensorSpec("x", (1, rows, 1000), "float32"),))

    assert few_of(small_model) == few_of(with_rows(1000)) == FEW == few_for_ranges(with_rows(6250))
    assert few_of(with_rows(6400)) == 15 and few_for_ranges(with_rows(10000)) == 20
    assert few_of(with_rows(10**6)) == 8 and few_for_ranges(with_rows(10**6)) == 16
    assert [soon_learnt(model) for model in (small_model, with_rows(1500), with_rows(1501))] == [True, True, False]


def test_the_executor_of_equal_networks_is_kept_and_not_that_of_other_weights(small_model):
    libraries, module = Libraries(), small_model.module
    first = libraries.executor(module, 1)
    assert libraries.executor(module, 1) is first
    layer = next(index for index, layer in layers_of(module).items() if layer.weight.any())
    assert (
        libraries.executor(replace_constants(module, {(layer, 1): layers_of(module)[layer].weight * 2}), 1) is not first
    )
    assert libraries.executor(module, 1) is first  # The network as it came is kept beside the last one.


def test_no_executor_of_large_weights_is_kept(small_model, monkeypatch):
    monkeypatch.setattr(libraries_module, "LARGE", 0)
    libraries = Libraries()
    assert libraries.executor(small_model.module, 1) is not libraries.executor(small_model.module, 1)
