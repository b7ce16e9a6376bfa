"""Tuning records in a compilation: measured first if that is asked for, then applied."""

from contextlib import contextmanager

from ...targets import detect
from ...targets.variant import Variant
from ..reporter import Reporter
from .options import BuildOptions


@contextmanager
def records_for(options: BuildOptions, reporter: Reporter):
    """Yields records(module, spec, tune=True) -> what lowering asks for tuned schedules, or None where none are wanted.

    With trials, the kernels of the targets that run here are tuned first, each workload once. Raises OctetError for a
    database that cannot be opened."""
    if options.trials == 0 and options.db is None:
        yield lambda module, spec, tune=True: None
        return
    from ...tuning.apply import Applied
    from ...tuning.database import Database
    from ...tuning.place import place_of

    database = Database(place_of(options.db))
    seen: set = set()

    def records(module, spec, tune=True):
        if tune and options.trials > 0 and not detect.missing(spec.features):
            _tune(module, spec, database, options, reporter, seen)
        return Applied(database, spec)

    try:
        yield records
    finally:
        database.close()


def _tune(module, spec, database, options, reporter, seen):
    """seen: (target, workload) that were tuned in this compilation, whose trials are spent."""
    from ...tuning.state import TuningLimits
    from ...tuning.tasks import tasks_of_graph
    from ...tuning.tune import tune

    tasks = [task for task in tasks_of_graph(module, spec) if (spec.name, task.workload.key) not in seen]
    if tasks:
        reporter.phase(f"tune {spec.name}")
        seen.update((spec.name, task.workload.key) for task in tasks)
        tune(tasks, spec, database, TuningLimits(trials=options.trials), options.threads)


def sources(variant: Variant) -> dict:
    """Counts where the schedules of kernels come from.

    {"tuned": kernels with a schedule from a record, "default": those with the analytical one}."""
    known = [step.source for step in variant.steps if step.source]
    default = known.count("default")
    return {"tuned": len(known) - default, "default": default}
