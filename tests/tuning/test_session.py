"""A session spends its budget well, records only what beats the default by more than the noise, resumes, and fails
loudly."""

import math

import numpy as np
import pytest

from octet.targets.errors import OctetError
from octet.targets.registry import find
from octet.targets.x86.peak import Peak
from octet.tools.tuning import display
from octet.tuning.database import Database, key_of
from octet.tuning.measuring import interval_of_ratios
from octet.tuning.runner import Compared, Measured
from octet.tuning.spaces.registry import from_json, spaces_of
from octet.tuning.state import TuningLimits
from octet.tuning.tasks import Task
from octet.tuning.tuning_session import BATCH, TuningSession

SPEC = find("avx512vnni")


@pytest.fixture
def database(tmp_path):
    opened = Database(str(tmp_path / "records.db"))
    yield opened
    opened.close()


def cost(schedule):
    return 1e-5 * (2 + abs(schedule.units - 6) / 6 + schedule.pixels_outer)


def session_of(tasks, database, pretend, cost=cost, noise=0.0, broken=lambda schedule: False):
    builder, runner = pretend[0](SPEC, broken), pretend[1](cost, noise)
    return TuningSession([Task(w, count) for w, count in tasks], SPEC, database, builder, runner, "a CPU"), runner


def test_the_winner_is_recorded(workload, database, pretend):
    chosen = workload(channels=32, size=20, out=64)
    session, runner = session_of([(chosen, 3)], database, pretend)
    session.run(TuningLimits(trials=40))
    record = database.find(key_of(chosen.key, SPEC))
    default = spaces_of(chosen, SPEC)[0].default
    assert record.ratio == pytest.approx(cost(from_json(record.schedule)[1]) / cost(default)) and record.ratio < 0.9
    assert record.ratio == min(t.ratio for t in database.trials(record.key)), "the best of all that was measured"
    assert database.count_trials() == session.states[0].trials == 40


def test_noise_is_no_gain(workload, database, pretend):
    session, _ = session_of(
        [(workload(channels=32, size=20, out=64), 1)], database, pretend, cost=lambda schedule: 1e-5, noise=0.2
    )
    session.run(TuningLimits(trials=40))
    assert database.records() == []


def test_a_second_session_goes_on(workload, database, pretend):
    chosen = workload(channels=32, size=20, out=64)
    first, before = session_of([(chosen, 1)], database, pretend)
    first.run(TuningLimits(trials=BATCH))
    second, after = session_of([(chosen, 1)], database, pretend)
    second.run(TuningLimits(trials=BATCH))
    again = set(before.measured) & set(after.measured)
    finalists = {from_json(r.schedule)[1] for r in database.records()}
    assert database.count_trials() == 2 * BATCH and again <= finalists
    assert second.states[0].best_ratio <= first.states[0].best_ratio


def test_an_exhausted_space_ends_the_session(workload, database, pretend):
    chosen = workload(channels=16, size=4, out=16, groups=16)
    session, _ = session_of([(chosen, 1)], database, pretend, cost=lambda schedule: 1e-5 * (1 + schedule.rows))
    session.run(TuningLimits(trials=10_000))
    assert session.states[0].done and database.count_trials() == len(spaces_of(chosen, SPEC)[0].every()) - 1


def test_time_goes_where_it_can_be_saved(workload, database, pretend):
    large, small = workload(channels=64, size=28, out=64), workload(channels=32, size=14, out=32)
    session, _ = session_of([(small, 1), (large, 20)], database, pretend)
    session.run(TuningLimits(trials=3 * BATCH))
    first = database.trials(key_of(large.key, SPEC))
    assert len(first) == 3 * BATCH
    order = [space.trials for space in session.states]
    assert order[1] >= order[0]


def test_no_measurement_is_a_failure_with_the_reason(workload, database, pretend):
    default = spaces_of(workload(), SPEC)[0].default
    session, _ = session_of([(workload(), 1)], database, pretend, cost=lambda s: 1e-5 if s == default else math.nan)
    with pytest.raises(OctetError, match="not one of 8 measurements succeeded.*crashed"):
        session.run(TuningLimits(trials=8))
    session, _ = session_of([(workload(channels=32), 1)], database, pretend, broken=lambda schedule: True)
    with pytest.raises(OctetError, match="did not compile: pretended"):
        session.run(TuningLimits(trials=8))
    assert database.records() == []


class Said(list):
    """A console that keeps what is printed."""

    def print(self, what):
        self.append(str(what))


class Clock:
    """Stands in for the module time: builds and measurements take what they are said to take."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr("octet.tuning.tuning_session.time", self)
        monkeypatch.setattr("octet.tuning.measuring.time", self)

    def monotonic(self):
        return self.now


def slow(pretend, clock, build, measure):
    """The pretended builder and runner, taking seconds per kernel."""

    class Builder(pretend[0]):
        def build(self, wanted, until=math.inf):
            done = [(clock.monotonic() + build * (i + 1)) <= until for i in range(len(wanted))]
            clock.now = min(until, clock.now + build * len(wanted))
            return [built if in_time else None for built, in_time in zip(super().build(wanted), done)]

    class Runner(pretend[1]):
        def compare(self, case, default, candidates, rounds, until=math.inf):
            able = [c for i, c in enumerate(candidates) if clock.now + measure * (i + 1) <= until]
            clock.now += measure * (1 + len(able))
            found = super().compare(case, default, able, rounds)
            return Compared(found.default, found.candidates + (Measured(),) * (len(candidates) - len(able)))

    return Builder, Runner


def many(workload, database, pretend, clock, build, peak=None):
    """A session on ten small tasks and a large one, which stands last."""
    tasks = [(workload(channels=16 * (1 + i), size=6, out=16), 1) for i in range(10)] + [
        (workload(channels=64, size=28, out=64), 20)
    ]
    builder, runner = (made for made in slow(pretend, clock, build, 0.1))
    return TuningSession(
        [Task(w, count) for w, count in tasks],
        SPEC,
        database,
        builder(SPEC),
        runner(cost),
        "a CPU",
        peak=peak,
        started=0.0,
    )


def test_a_short_budget_goes_to_the_task_with_most_to_gain(workload, database, pretend, monkeypatch):
    clock = Clock(monkeypatch)
    session = many(workload, database, pretend, clock, 1.0, Peak(1, 1e5, 2e4, 1e4, 1e4, 1e4))
    session.run(TuningLimits(seconds=30.0))
    assert session.states[-1].trials > 0 and 0 < sum(state.begun for state in session.states) < len(session.states)
    assert clock.now <= 30.0 + 1.0, "one measurement more than the budget at most"
    display.print_session(said := Said(), session, "a database")
    assert "kernels were not reached" in " ".join(said) and "default_us" not in min(
        display.figures(session)["tasks"], key=len
    )


def test_no_time_for_a_candidate_is_a_failure_with_the_reason(workload, database, pretend, monkeypatch):
    for seconds, build, begun in ((5.0, 1.0, 3), (0.5, 1.0, 0)):
        session = many(workload, database, pretend, Clock(monkeypatch), build)
        with pytest.raises(
            OctetError,
            match=(
                f"the budget of .* s was up before one candidate was measured: it went into the defaults of {begun} "
                "of 11 kernels; give more"
            ),
        ):
            session.run(TuningLimits(seconds=seconds))
    assert database.count_trials() == 0


def test_what_the_time_cut_off_is_no_trial(workload, database, pretend, monkeypatch):
    clock, chosen = Clock(monkeypatch), workload(channels=32, size=20, out=64)
    builder, runner = slow(pretend, clock, 1.0, 0.1)
    session = TuningSession([Task(chosen, 1)], SPEC, database, builder(SPEC), runner(cost), "a CPU", started=0.0)
    session.run(TuningLimits(seconds=5.3))
    assert session.states[0].trials == database.count_trials() == 3 and session.states[0].failed == 0


def test_some_failures_are_survived(workload, database, pretend):
    chosen = workload(channels=32, size=20, out=64)
    session, _ = session_of([(chosen, 1)], database, pretend, broken=lambda schedule: schedule.vectors == 1)
    session.run(TuningLimits(trials=120))
    assert session.states[0].failed > 0 and database.find(key_of(chosen.key, SPEC)) is not None
    assert any(trial.error for trial in database.trials(key_of(chosen.key, SPEC)))


def test_nothing_to_tune_and_no_budget():
    with pytest.raises(OctetError, match="nothing to tune"):
        TuningSession([], SPEC, None, None, None, "")
    with pytest.raises(OctetError, match="--budget"):
        TuningLimits()


def test_interval():
    ratio, noise = interval_of_ratios(np.array([0.9, 0.91, 0.89, 0.9]))
    assert ratio == pytest.approx(0.9) and 0 < noise < 0.05
    assert interval_of_ratios(np.array([0.5, 0.5, 0.5, 2.0]))[0] == 0.5
