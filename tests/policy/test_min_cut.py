"""The cut is the cheapest labelling: compared with trying all."""

from itertools import product

from hypothesis import given, settings, strategies as st

from octet.passes.policy.min_cut import MinCut

COUNT = 5
costs = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=COUNT, max_size=COUNT)
pairs = st.lists(st.tuples(st.integers(0, COUNT - 1), st.integers(0, COUNT - 1), st.integers(0, 9)), max_size=8)


def total(costs, pairs, second):
    return sum(c[n in second] for n, c in enumerate(costs)) + sum(
        cost for a, b, cost in pairs if a not in second and b in second
    )


@settings(max_examples=60, deadline=None, derandomize=True)
@given(costs, pairs)
def test_no_labelling_is_cheaper(costs, pairs):
    cut = MinCut(COUNT)
    for node, (first, second) in enumerate(costs):
        cut.cost(node, first, second)
    for first, second, cost in pairs:
        cut.differ(first, second, cost)
    found = cut.solve()
    every = [frozenset(n for n in range(COUNT) if bits[n]) for bits in product((False, True), repeat=COUNT)]
    best = min(total(costs, pairs, labels) for labels in every)
    assert total(costs, pairs, found) == best
    assert len(found) == min(len(labels) for labels in every if total(costs, pairs, labels) == best), (
        "ties stay on the first side"
    )
