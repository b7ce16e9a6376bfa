"""What a tuning session shows: a live table on stderr while it runs, the result on stdout, figures as JSON."""

from contextlib import contextmanager

from ...tuning.spaces.registry import text_of
from ...tuning.state import TaskState
from ...tuning.tuning_session import TuningSession
from ..console import plain_console

ROWS = 12  # The live table shows so many tasks, those that take most of the time.


@contextmanager
def live():
    """Yields progress(session): a table on a terminal, one line per batch of a task elsewhere."""
    from rich.live import Live

    console = plain_console(stderr=True)
    if not console.is_terminal:
        yield lambda session: console.print(_line(session), highlight=False, soft_wrap=True)
        return
    with Live(console=console, transient=True, refresh_per_second=4) as shown:
        yield lambda session: shown.update(_table(session))


def _line(session: TuningSession) -> str:
    before, now = totals(session)
    return (
        f"{session.elapsed:6.1f} s  {session.doing}: kernels {before * 1e3:.3f} -> {now * 1e3:.3f} ms, "
        f"{gap(session) * 1e3:.3f} ms above the limit{_left(session)}"
    )


def _table(session):
    from ..console import text_table

    states = sorted((s for s in session.states if s.begun), key=lambda s: -s.total)[:ROWS]
    columns = ("kernel", "count", "default us", "now us", "of limit", "trials", "schedule")
    made = text_table(_line(session), columns, [_row(session, s) for s in states], right=columns[1:6])
    return made


def _row(session: TuningSession, state: TaskState):
    schedule = text_of(*state.best) if state.best is not None else "default"
    now = state.default_seconds * state.best_ratio
    return (
        state.task.workload.name,
        state.task.count,
        f"{state.default_seconds * 1e6:.1f}",
        f"{now * 1e6:.1f}",
        f"{min(1.0, session.limit(state) / max(now, 1e-12)):.0%}",
        state.trials,
        schedule,
    )


def totals(session: TuningSession) -> tuple[float, float]:
    """Seconds of the kernels of one run of the network whose defaults were measured: with default schedules, and
    now."""
    return sum(s.task.count * s.default_seconds for s in session.states), sum(s.total for s in session.states)


def gap(session: TuningSession) -> float:
    """Seconds of one run of the network that its tunable kernels now take beyond the limits of the machine."""
    return sum(max(0.0, s.total - s.task.count * session.limit(s)) for s in session.states if s.begun)


def _left(session):
    budget, elapsed = session.budget, session.elapsed
    if budget.seconds is not None:
        return f", {max(0.0, budget.seconds - elapsed):.0f} s left"
    done, wanted = (
        sum(s.trials for s in session.states),
        budget.trials * sum(not s.done for s in session.states) + sum(s.trials for s in session.states if s.done),
    )
    return f", {elapsed / done * max(0, wanted - done):.0f} s left" if done else ""


def print_session(console, session: TuningSession, where: str) -> None:
    """Prints what a session came to, kernel by kernel. where: the place of its records."""
    from ..console import text_table

    before, now = totals(session)
    columns = ("kernel", "count", "default us", "now us", "of default", "of limit", "trials", "failed", "schedule")
    rows = []
    begun = [s for s in session.states if s.begun]
    for state in sorted(begun, key=lambda s: -s.task.count * s.default_seconds):
        name, count, default, tuned, limit, trials, schedule = _row(session, state)
        rows.append((name, count, default, tuned, f"{state.best_ratio:.3f}", limit, trials, state.failed, schedule))
    console.print(text_table(f"{session.spec.name}, {session.elapsed:.0f} s", columns, rows, right=columns[1:8]))
    recorded = sum(s.best is not None for s in session.states)
    tried, failed = sum(s.trials for s in session.states), sum(s.failed for s in session.states)
    console.print(
        f"{tried - failed} candidates of {sum(s.trials > 0 for s in session.states)} kernels measured, {failed} failed"
        + (
            f"; {len(session.states) - len(begun)} of {len(session.states)} kernels were not reached, the same "
            "command goes on with them"
            if len(begun) < len(session.states)
            else ""
        )
    )
    if session.peak is not None:
        console.print(
            f"limit: {session.peak.int8_gops:.0f} Gop/s int8, {session.peak.float32_gflops:.0f} GFlop/s, L2 "
            f"{session.peak.l2_gbytes:.0f} GB/s, "
            f"measured on {session.peak.threads} cores; {gap(session) * 1e3:.3f} ms of a run lie above it"
        )
    console.print(
        f"kernels of one run: {before * 1e3:.3f} ms with defaults, {now * 1e3:.3f} ms now "
        f"({before / max(now, 1e-12):.2f}x); "
        f"{recorded} of {len(session.states)} have a record in {where}"
    )


def figures(session: TuningSession) -> dict:
    """The session's result as JSON values: seconds before and after, and an entry for every task."""
    before, now = totals(session)
    tasks = []
    for s in session.states:
        times = (
            {
                "default_us": s.default_seconds * 1e6,
                "now_us": s.default_seconds * s.best_ratio * 1e6,
                "limit_us": session.limit(s) * 1e6,
            }
            if s.begun
            else {}
        )
        tasks.append(
            {
                "workload": s.task.workload.name,
                "key": s.task.workload.key,
                "count": s.task.count,
                **times,
                "ratio": s.best_ratio,
                "trials": s.trials,
                "failed": s.failed,
                "schedule": text_of(*s.best) if s.best is not None else "default",
            }
        )
    return {
        "target": session.spec.name,
        "seconds": session.elapsed,
        "default_ms": before * 1e3,
        "now_ms": now * 1e3,
        "tasks": tasks,
    }
