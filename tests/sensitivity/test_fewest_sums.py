"""Of the residual sums in float only those that matter stay there, the coarsest, and only where that is faster."""

from types import SimpleNamespace

from octet.passes.annotate import Recipe
from octet.passes.sensitivity.choices.fewest_sums import coarsest_first, fewest_sums
from octet.passes.sensitivity.design import Design

STEPS = {"a": 0.1, "b": 0.4, "c": 0.2, "d": 0.3}  # Half of the values are below 1 where a step has one of these sizes.


class Bench:
    """What knows of the ranges and the plan."""

    def plan(self, design):
        assert design.recipe.residuals == "int8"
        return SimpleNamespace(sums=[SimpleNamespace(name=name) for name in STEPS])

    def ranges(self, design):
        median = SimpleNamespace(quantile=lambda fraction, of_magnitude: 1.0)
        return {name: (median, SimpleNamespace(scale=step)) for name, step in STEPS.items()}


def chosen(errors, saved=0.05, residuals="float", **more):
    """(residuals, names in float, [names of what was tried]). errors: by the names in float, "" is all of them."""
    steps = []
    names = lambda design: "".join(sorted(design.recipe.float_operators))  # noqa: E731
    design = fewest_sums(
        Design(Recipe(residuals=residuals)),
        Bench(),
        lambda design: errors[names(design)],
        lambda design: 1 - saved * (4 - (len(names(design)) or 4)),
        steps.append,
        **more,
    )
    return design.recipe.residuals, names(design), [step.name for step in steps]


def test_the_coarsest_come_first():
    assert coarsest_first(Design(Recipe()), Bench()) == ["b", "d", "c", "a"]


def test_as_few_as_are_as_good():
    residuals, names, tried = chosen({"": 0.001, "bd": 0.00101, "b": 0.002})
    assert (residuals, names) == ("int8", "bd") and tried[
        0
    ] == "2 of 4 residual sums in float, -10.0% of the estimated time"
    assert chosen({"": 0.001, "bd": 0.00101, "b": 0.001})[:2] == ("int8", "b")
    assert chosen({"": 0.001, "bd": 0.0011})[:2] == ("float", "")


def test_all_stay_where_fewer_save_no_time_or_nothing_may_be_tried():
    assert chosen({"": 0.001, "bd": 0.001}, saved=0.001)[:2] == ("float", "")
    assert chosen({"": 0.001}, spent=lambda: True) == ("float", "", [])
    assert chosen({"": 0.001}, residuals="int8") == ("int8", "", [])


def test_all_stay_where_the_network_is_far_from_fp32():
    assert chosen({"": 0.02}) == ("float", "", [])
