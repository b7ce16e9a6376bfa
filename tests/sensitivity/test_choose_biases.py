"""Biases are corrected unasked where int8 is far from fp32 and that brings it clearly nearer, and only then."""

import pytest

from octet.passes.annotate import Recipe
from octet.passes.sensitivity.choices.choose_biases import choose_biases
from octet.passes.sensitivity.design import Design


def chosen(errors, design=Design(Recipe()), **more):
    """errors: by whether biases are corrected; one that is not there must not be measured."""
    steps = []
    found = choose_biases(design, lambda d: errors[d.biases], steps.append, **more)
    return found.biases, [(step.name, step.kept) for step in steps]


def test_what_removes_a_fifth_of_the_error_is_taken():
    assert chosen({False: 0.05, True: 0.04}) == (True, [("corrected biases", True)])
    assert chosen({False: 0.05, True: 0.041}) == (False, [("corrected biases", False)])


@pytest.mark.parametrize("design", [Design(Recipe()), Design(Recipe(), biases=True)])
def test_nothing_is_tried_where_int8_is_near_or_they_are_corrected_already(design):
    assert chosen({False: 3e-3, True: 3e-3}, design) == (design.biases, [])


def test_what_there_is_no_time_for_is_left_out_and_named():
    found, ((name, kept),) = chosen({False: 0.05}, spent=lambda: True)
    assert (found, kept) == (False, False) and name.startswith("corrected biases: ")
