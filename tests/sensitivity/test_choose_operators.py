"""The operators with the largest errors of their own go to float where int8 is far from fp32, as few as bring it near,
and only where that is worth its time."""

from octet.passes.annotate import Recipe
from octet.passes.sensitivity.choices.choose_operators import choose_operators
from octet.passes.sensitivity.design import Design
from octet.passes.sensitivity.ranking import Ranked

NAMES = [f"n{number}" for number in range(11)]


def chosen(errors, slower=0.01, spent=lambda: False):
    """(names in float, [names of what was tried], how often operators were ranked). errors: by how many are in float;
    slower: what each adds to the time."""
    steps, rankings = [], []

    def ranked(design):
        rankings.append(design)
        return [Ranked(name, "relax.nn.conv2d", 0.0, 0.0, 1) for name in NAMES]

    count = lambda design: len(design.recipe.float_operators)  # noqa: E731
    design, ranking = choose_operators(
        Design(Recipe()),
        ranked,
        lambda design: errors[count(design)],
        lambda design: 1 + slower * count(design),
        steps.append,
        spent=spent,
    )
    assert [layer.name for layer in ranking] == (NAMES if rankings else [])
    return design.recipe.float_operators, [(step.name, step.kept) for step in steps], len(rankings)


def test_as_few_as_bring_it_near():
    found, steps, _ = chosen({0: 0.1, 1: 0.09, 2: 0.05, 4: 0.003})
    assert found == frozenset(NAMES[:4]) and [kept for _, kept in steps] == [False, False, True]
    assert steps[-1][0] == "4 operators in float, +4.0% of the estimated time"
    found, steps, _ = chosen({0: 0.1, 1: 0.002})
    assert found == frozenset(NAMES[:1]) and steps == [("1 operator in float, +1.0% of the estimated time", True)]


def test_the_nearest_where_none_is_near():
    errors = {0: 0.5, 1: 0.4, 2: 0.2, 4: 0.1, 8: 0.12, 11: 0.11}
    assert chosen(errors)[0] == frozenset(NAMES[:4])
    assert not chosen(dict.fromkeys(errors, 0.5))[0]  # Nothing helps.


def test_what_takes_too_long_stays_in_int8():
    found, steps, _ = chosen({0: 0.5, 1: 0.2, 2: 0.1, 4: 0.01}, slower=0.3)
    assert found == frozenset(NAMES[:2]) and [kept for _, kept in steps] == [False, True, False]
    assert not chosen({0: 0.5, 1: 0.002}, slower=1.1)[0]
    assert not chosen({0: 0.5, 1: 0.28, 2: 0.28}, slower=0.8)[0]  # The error is not even halved.


def test_one_that_is_dear_by_itself_is_passed_over():
    def seconds(design):
        return 1 + 5 * (NAMES[0] in design.recipe.float_operators) + 0.01 * len(design.recipe.float_operators)

    ranked = [Ranked(name, "relax.nn.conv2d", 0.0, 0.0, 1) for name in NAMES]
    error = lambda design: 0.5 - 0.4 * (NAMES[1] in design.recipe.float_operators)  # noqa: E731
    design, _ = choose_operators(Design(Recipe()), lambda chosen: ranked, error, seconds, lambda step: None)
    assert NAMES[1] in design.recipe.float_operators and NAMES[0] not in design.recipe.float_operators


def test_nothing_is_ranked_where_int8_is_near_enough_or_no_time_is_left():
    assert chosen({0: 0.0099}) == (frozenset(), [], 0)
    found, steps, rankings = chosen({0: 0.5}, spent=lambda: True)
    assert not found and not rankings and "left out" in steps[0][0]
