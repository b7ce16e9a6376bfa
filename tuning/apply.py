"""Records of a database as what lowering asks for."""

import warnings

from ..targets.errors import OctetWarning
from ..targets.spec import TargetSpec
from ..targets.tuned import Tuned
from ..targets.workload_key import Keyed
from . import devices
from .database import Database, key_of
from .spaces.registry import member, spaces_of


class Applied:
    """Finds the record of a workload on one target; counts what was found. device: whose records apply, of a GPU
    (devices.py). Raises OctetError where that is ambiguous."""

    def __init__(self, database: Database, spec: TargetSpec):
        self._database, self._spec = database, spec
        self.tuned, self.default = 0, 0
        self.device = devices.chosen_device(database, spec) if spec.backend.per_device else None

    def __call__(self, workload: Keyed) -> Tuned | None:
        """The record's schedule, None for the analytical default; counts which of them it was."""
        found = self._find(workload)
        if found is None:
            self.default += 1
        else:
            self.tuned += 1
        return found

    def _find(self, workload):
        record = self._record(workload.key)
        if record is None:
            return None
        try:
            _, schedule = member(record.schedule, spaces_of(workload, self._spec))
        except ValueError as error:
            warnings.warn(f"tuning record {record.id} is not applied: {error}", OctetWarning, stacklevel=3)
            return None
        return Tuned(schedule, f"record {record.id}")

    def _record(self, key):
        if not self._spec.backend.per_device:
            return self._database.find(key_of(key, self._spec))
        return (
            devices.record_on_device(self._database, key, self._spec, self.device) if self.device is not None else None
        )
