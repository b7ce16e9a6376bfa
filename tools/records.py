"""Tuning records in a compilation: measured first if that is asked for, then applied."""

from contextlib import contextmanager

from ..targets import detect
from ..targets.variant import Variant


@contextmanager
def records_for(trials: int, db, threads: int | None, phase):
    """Yields records(module, spec) -> what lowering asks for tuned schedules, or None where none are wanted.

    With trials, the kernels of the targets that run here are tuned first. Raises OctetError for a database that cannot be opened."""
    if trials == 0 and db is None:
        yield lambda module, spec: None
        return
    from ..tuning.apply import Applied
    from ..tuning.database import Database
    from ..tuning.tune import DEFAULT_DATABASE

    database = Database(db if db is not None else DEFAULT_DATABASE)

    def records(module, spec):
        if spec.kind != "cpu":
            return None
        if trials > 0 and not detect.missing(spec.features):
            phase(f"tune {spec.name}")
            _tune(module, spec, database, trials, threads)
        return Applied(database, spec)

    try:
        yield records
    finally:
        database.close()


def _tune(module, spec, database, trials, threads):
    from ..tuning.session import Budget
    from ..tuning.tasks import tasks_of_graph
    from ..tuning.tune import tune

    tasks = tasks_of_graph(module, spec)
    if tasks:
        tune(tasks, spec, database, Budget(trials=trials), threads)


def sources(variant: Variant) -> dict:
    """{"tuned": kernels with a schedule from a record, "default": those with the analytical one}."""
    known = [step.source for step in variant.steps if step.source]
    default = known.count("default")
    return {"tuned": len(known) - default, "default": default}
