"""Tuning for a machine that is not here: candidates out, measurements in."""

from ...targets.errors import OctetError
from ...tuning.carry_export import DEFAULT_TRIALS, export_candidates
from ...tuning.carry_import import import_measurements
from ...tuning.database import Database
from .request import TuningRequest
from .run_session import tasks_of


def carry(request: TuningRequest, export_to, import_from, database: Database, progress) -> dict:
    """Imports first, then exports; {"imported": figures or None, "exported": figures or None}. Raises OctetError for
    what a user can get wrong."""
    if request.tracker is not None or request.key is not None or request.budget is not None:
        raise OctetError(
            "tune: --tracker, --key and --budget measure now; leave them out with --export-candidates and "
            "--import-measurements"
        )
    imported = import_measurements(import_from, database) if import_from is not None else None
    if export_to is None:
        return {"imported": imported, "exported": None}
    spec, tasks = tasks_of(request)
    trials = request.trials if request.trials is not None else DEFAULT_TRIALS
    exported = export_candidates(tasks, spec, database, export_to, trials, request.threads or 1, progress)
    return {"imported": imported, "exported": exported}


def print_carried(console, figures: dict, export_to, import_from) -> None:
    """Prints what was read from the files of measurements, and what was written for other machines."""
    if figures["imported"] is not None:
        imported = figures["imported"]
        console.print(
            f"{import_from}: {imported['trials']} measurements on {', '.join(imported['devices'])}, "
            f"{imported['failed']} failed; {imported['records']} records"
        )
    if figures["exported"] is not None:
        exported = figures["exported"]
        skipped = (
            f"; {exported['skipped']} float32 kernels are left out, as their bits depend on the order of sums"
            if exported["skipped"]
            else ""
        )
        console.print(
            f"{export_to}: {exported['candidates']} candidates of {exported['tasks']} kernels, "
            f"{exported['bytes'] / 1e6:.2f} MB, "
            f"{exported['failed']} did not compile{skipped}; "
            f"next, where the device is: octet measure {export_to}"
        )
