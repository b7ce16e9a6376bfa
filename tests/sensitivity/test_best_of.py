"""Of designs that cost nothing the best is taken, where it is enough better than what there is."""

from octet.passes.annotate import Recipe
from octet.passes.sensitivity.attempt import LEFT_OUT, Attempt
from octet.passes.sensitivity.choices.best_of import best_of
from octet.passes.sensitivity.design import Design

GIVEN = Design(Recipe())
OTHERS = [(name, Design(Recipe(), scaling=name)) for name in ("equalize", "migrate-0.5", "migrate-1.0")]


def chosen(errors, worth=0.5, **more):
    """(the scaling of what is taken, [(name, error, kept) of what was tried]). errors: by scaling."""
    tried = []
    best = best_of(GIVEN, OTHERS, lambda design: errors[design.scaling], tried.append, worth, **more)
    return best.scaling, [(attempt.name, attempt.error, attempt.kept) for attempt in tried]


def test_the_least_error_is_taken_where_it_is_worth_it():
    errors = {"": 1.0, "equalize": 0.4, "migrate-0.5": 0.2, "migrate-1.0": 0.3}
    assert chosen(errors) == (
        "migrate-0.5",
        [("equalize", 0.4, False), ("migrate-0.5", 0.2, True), ("migrate-1.0", 0.3, False)],
    )
    assert chosen(errors, worth=0.2)[0] == "migrate-0.5" and chosen(errors, worth=0.19)[0] == ""


def test_of_equals_the_first_and_never_what_is_worse():
    assert chosen({"": 1.0, "equalize": 0.2, "migrate-0.5": 0.2, "migrate-1.0": 0.2})[0] == "equalize"
    scaling, tried = chosen({"": 1.0, "equalize": 2.0, "migrate-0.5": 1.0, "migrate-1.0": 3.0})
    assert scaling == "" and not any(kept for _, _, kept in tried) and len(tried) == 3


def test_a_good_one_ends_it():
    _, tried = chosen({"": 1.0, "equalize": 0.6, "migrate-0.5": 0.01}, good=0.01)
    assert [name for name, _, _ in tried] == ["equalize", "migrate-0.5"]


def test_what_there_is_no_time_for_is_said():
    spent = iter([False, True, True])
    scaling, tried = chosen({"": 1.0, "equalize": 0.4}, spent=lambda: next(spent))
    assert scaling == "equalize"
    left_out = [(f"{name}: {LEFT_OUT}", None, False) for name in ("migrate-0.5", "migrate-1.0")]
    assert tried == [*left_out, ("equalize", 0.4, True)]


def test_nothing_to_try_leaves_the_design():
    assert best_of(GIVEN, [], lambda design: 1.0, [].append, 0.5) is GIVEN


def test_an_attempt_says_decibels():
    assert round(Attempt("a", 0.01, None, True, GIVEN).sqnr, 6) == 20
    assert Attempt("a", None, None, False, GIVEN).sqnr is None
