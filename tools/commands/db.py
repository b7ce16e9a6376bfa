"""octet db: look into, share and clean the database of tuning records."""

import click

from ..console import JSON_HELP, check_json, out, say, text_table, write_json
from ..errors import Command, CommandGroup


@click.group(cls=CommandGroup)
def db():
    """Tuning records: statistics, export, import, prune."""


@db.command(cls=Command)
@click.argument("db", metavar="FILE_OR_URL")
@click.option("--json", "json_path", metavar="FILE", help=JSON_HELP)
def stats(db, json_path):
    """What a database holds."""
    check_json(json_path)
    database = _open(db)
    records, trials = database.records(), database.count_trials()
    rows = [
        (
            r.id,
            _kernel(r),
            r.target_name,
            f"{r.seconds * 1e6:.1f}",
            f"{r.ratio:.3f}",
            f"{r.noise:.3f}",
            _schedule(r),
            r.cpu,
            r.created,
        )
        for r in records
    ]
    columns = ("", "kernel", "target", "us", "of default", "+-", "schedule", "measured on", "at")
    console = out()
    console.print(text_table(database.shown, columns, rows, right=("", "us", "of default", "+-")))
    console.print(f"{len(records)} records, {trials} measured schedules")
    write_json(
        json_path, {"records": len(records), "trials": trials, "targets": sorted({r.target_name for r in records})}
    )


@db.command(cls=Command)
@click.argument("db", metavar="FILE_OR_URL")
@click.argument("path", metavar="FILE.json")
def export(db, path):
    """Write all records to a file for another database."""
    from ...tuning.exchange import export_records

    count = export_records(_open(db), path)
    say(f"{count} records written to {path}")


@db.command("import", cls=Command)
@click.argument("db", metavar="FILE_OR_URL")
@click.argument("path", metavar="FILE.json")
def import_(db, path):
    """Take over the records of an exported file; of two for the same kernel and target the better one stays."""
    from ...tuning.exchange import import_records

    count = import_records(_open(db, new=True), path)
    say(f"{count} records read from {path}")


@db.command(cls=Command)
@click.argument("db", metavar="FILE_OR_URL")
def prune(db):
    """Delete what this version cannot apply: records of other versions of TVM or of the design spaces."""
    records, trials = _open(db).prune()
    say(f"deleted {records} records and {trials} measured schedules of other versions")


def _open(where, new=False):
    from pathlib import Path

    from ...targets.errors import OctetError
    from ...tuning.database import Database

    if not new and "://" not in where and not Path(where).exists():
        raise OctetError(f"{where}: there is no such database; `octet tune --db {where}` makes one")
    return Database(where)


def _kernel(record):
    from ...targets.workloads import workload_from

    try:
        return workload_from(record.problem).name
    except ValueError:  # The record is of another version's kernel.
        return record.key.workload


def _schedule(record):
    return " ".join(f"{key}={value}" for key, value in record.schedule.items())
