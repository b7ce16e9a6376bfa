"""Records as a JSON file: what teams without a common database send each other."""

from dataclasses import asdict
from pathlib import Path

from ..targets.cuda.running.device_identity import on_device
from ..targets.errors import DataError
from ..targets.reading.regular import read_regular
from ..targets.registry import TARGETS
from ..targets.schema import json_text, parsed
from ..targets.writing import check_writable, write_atomically
from .database import Database, key_of
from .records import record_of
from .spaces.registry import member, workload_and_spaces

FORMAT = 1
_LARGEST = 1 << 30  # A longer file, in bytes, is not read.


def export_records(database: Database, path) -> int:
    """Writes all records; how many."""
    check_writable(path)
    records = [asdict(record) for record in database.records()]
    write_atomically(
        Path(path), (json_text({"octet-records": FORMAT, "records": records}, indent=1, sort_keys=True) + "\n").encode()
    )
    return len(records)


def import_records(database: Database, path) -> int:
    """Stores all records of an exported file, all or none read; how many. Raises DataError for any other file."""
    try:
        held = parsed(read_regular(path, _LARGEST))
        if held["octet-records"] != FORMAT:
            raise DataError(
                f"{path}: is of format {held['octet-records']}, this version reads {FORMAT}; export it again with the "
                "same version of octet"
            )
        records = [
            record_of({name: value for name, value in entry.items() if name != "key"} | entry["key"] | {"id": 0})
            for entry in held["records"]
        ]
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: is no export of tuning records ({type(error).__name__}: {error}); make one with `octet db export`"
        ) from error
    for number, record in enumerate(records):
        try:
            _check(record)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path}: record {number}, target {record.target_name}: {error}; nothing was imported, export it "
                "again where it was measured"
            ) from error
    for record in records:
        database.put(record)
    return len(records)


def _check(record):
    """Raises ValueError, KeyError, TypeError or AttributeError for a record that this version would apply, but whose
    schedule its kernel does not have."""
    if record.target_name not in TARGETS:
        return  # The record is of another version's target, for which nothing here asks.
    spec, key = TARGETS[record.target_name], record.key
    if key not in (
        key_of(key.workload, one)
        for one in ((spec, on_device(spec, record.cpu)) if spec.backend.per_device else (spec,))
    ):
        return
    workload, spaces = workload_and_spaces(record.problem, spec)
    if workload.key != key.workload:
        raise ValueError("its problem is not the one that its key is of")
    member(record.schedule, spaces)
