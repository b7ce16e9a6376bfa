"""Records as a JSON file: what teams without a common database send each other."""

import json
from dataclasses import asdict
from pathlib import Path

from ..targets.archive import check_writable, write_atomically
from ..targets.errors import DataError
from .database import Database, Key, Record

FORMAT = 1


def export_records(database: Database, path) -> int:
    """Writes all records; how many."""
    check_writable(path)
    records = [asdict(record) for record in database.records()]
    write_atomically(Path(path), (json.dumps({"octet-records": FORMAT, "records": records}, indent=1, sort_keys=True) + "\n").encode())
    return len(records)


def import_records(database: Database, path) -> int:
    """Stores all records of an exported file, all or none read; how many. Raises DataError for any other file."""
    try:
        held = json.loads(Path(path).read_bytes())
        if held["octet-records"] != FORMAT:
            raise DataError(f"{path}: is of format {held['octet-records']}, this version reads {FORMAT}; export it again with the same version of octet")
        records = [Record(**(entry | {"key": Key(**entry["key"]), "id": 0})) for entry in held["records"]]
        numbers = [value for record in records for value in (record.seconds, record.default_seconds, record.ratio, record.noise)]
        if not all(isinstance(value, (int, float)) for value in numbers):
            raise TypeError("a time that is no number")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: is no export of tuning records ({type(error).__name__}: {error}); make one with `octet db export`") from error
    for record in records:
        database.put(record)
    return len(records)
