"""The search finds good schedules, never proposes one twice, and knows when a space is exhausted."""

from octet.targets.registry import find
from octet.tuning.schedule_search import CostModel, ScheduleSearch
from octet.tuning.spaces.registry import spaces_of

TARGET = find("avx512vnni")


def make(workload, **shape):
    space = spaces_of(workload(**shape), TARGET)[0]
    return ScheduleSearch(space, CostModel(), "task", TARGET.tvm_target())


def cost(schedule):
    """Falls towards 12 pixels, 2 vectors and tasks of 8 units."""
    return 1e-6 * (
        1
        + abs(schedule.pixels - 12)
        + 5 * abs(schedule.vectors - 2)
        + abs(schedule.units - 8) / 4
        + schedule.pixels_outer
    )


def test_evolution_comes_close_to_the_best(workload):
    search = make(workload, channels=64, size=28, out=128)
    assert search.left is None and len(search.space.every()) > 300, "a space for the evolutionary search"
    measured = [search.space.default]
    search.report(measured, [cost(s) for s in measured])
    for _ in range(5):
        proposed = search.propose(8)
        assert proposed and not set(proposed) & set(measured)
        search.report(proposed, [cost(s) for s in proposed])
        measured += proposed
    ranks = sorted(map(cost, search.space.every()))
    assert min(map(cost, measured)) <= ranks[len(ranks) // 25], "41 measurements find one of the best 4 %"


def test_a_small_space_is_measured_once_and_to_the_end(workload):
    search = make(workload, channels=16, size=4, out=16, groups=16)
    every, seen = set(search.space.every()), []
    while proposed := search.propose(5):
        search.report(proposed, [None if len(seen) == 0 else 1e-6] * len(proposed))  # The first batch fails.
        seen += proposed
    assert set(seen) == every and len(seen) == len(every) and search.left == 0
