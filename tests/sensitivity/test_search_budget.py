"""A search's budget holds what comes behind the search."""

from types import SimpleNamespace

from octet.passes.annotate import Recipe
from octet.passes.sensitivity.design import Design
from octet.passes.sensitivity.search import SearchOutcome
from octet.tools.building.accuracy import automatic


def test_validating_what_was_found_is_kept_back(monkeypatch):
    """Of 100 s fp32 takes 10 on the validation data; when the search is over, fp32 and int8 are validated."""
    now = [0.0]
    monkeypatch.setattr("octet.passes.sensitivity.budget.time.monotonic", lambda: now[0])

    def outputs(arrays):
        now[0] += 10.0
        return {}

    scoring = SimpleNamespace(scores=lambda found: {})
    scoring.completed = lambda exact: scoring
    workflow = SimpleNamespace(
        options=SimpleNamespace(seconds=100.0),
        reporter=SimpleNamespace(phase=lambda name: None),
        bench=SimpleNamespace(float_outputs=outputs),
        compile=lambda design: (None, None),
        resumed=0,
    )
    left = []

    def search(*arguments):
        left.append(workflow.clock.left)
        return SearchOutcome(Design(Recipe()), 0.0, True)

    workflow.search = search
    automatic(SimpleNamespace(max_drop=0.01, calibrator=None, max_float=0.5), workflow, ({}, scoring))
    assert left == [60.0], "fp32 and int8 are validated in 15 s each, and a tenth is for what follows"
