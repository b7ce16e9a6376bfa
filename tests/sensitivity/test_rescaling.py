"""Channels are rescaled unasked where int8 is far from fp32 and that removes most of the error, and only then."""

from itertools import chain, repeat

import pytest

from octet.passes.annotate import Recipe
from octet.passes.sensitivity.design import Design
from octet.passes.sensitivity.rescaling import choose_scaling


def chosen(errors, design=Design(Recipe()), **more):
    """errors: by scaling; one that is not there must not be measured."""
    steps = []
    return choose_scaling(design, lambda d: errors[d.scaling], steps.append, **more).scaling, [
        (step.design.scaling, step.kept) for step in steps
    ]


def test_the_first_that_is_good_ends_it():
    assert chosen({"": 0.06, "equalize": 5e-4}) == ("equalize", [("equalize", True)])


def test_the_best_of_all_that_are_not_good_enough():
    found, steps = chosen({"": 0.06, "equalize": 0.02, "migrate-0.5": 0.03, "migrate-0.75": 0.01, "migrate-1.0": 0.02})
    assert found == "migrate-0.75" and [kept for _, kept in steps] == [False, False, True, False]


def test_what_leaves_more_than_half_of_the_error_is_not_taken():
    assert chosen({"": 0.06, "equalize": 0.04, "migrate-0.5": 0.05, "migrate-0.75": 0.06, "migrate-1.0": 0.06})[0] == ""


def test_no_stronger_one_is_tried_where_half_of_migration_makes_it_worse():
    assert chosen({"": 0.06, "equalize": 0.02, "migrate-0.5": 0.07}) == (
        "equalize",
        [("equalize", True), ("migrate-0.5", False)],
    )


@pytest.mark.parametrize("design", [Design(Recipe()), Design(Recipe(), scaling="migrate-0.5")])
def test_nothing_is_tried_where_int8_is_near_or_channels_are_rescaled_already(design):
    assert chosen({"": 3e-3, "migrate-0.5": 3e-3}, design) == (design.scaling, [])


def test_what_there_is_no_time_for_is_left_out_and_named():
    answers = chain([False], repeat(True))
    assert chosen({"": 0.06, "equalize": 0.02}, spent=lambda: next(answers)) == (
        "equalize",
        [("migrate-0.5", False), ("migrate-0.75", False), ("migrate-1.0", False), ("equalize", True)],
    )
    assert chosen({"": 0.06}, spent=lambda: True)[0] == ""
