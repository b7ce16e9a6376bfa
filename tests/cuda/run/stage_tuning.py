"""A round of tuning: candidates that were compiled elsewhere, measured as `octet measure` does. The measurements go
back with the results."""

import shutil
import tempfile
from pathlib import Path

from octet.targets.measure.carrier import Carrier
from octet.targets.measure.measuring_stages import measure_job


def run(work) -> None:
    with tempfile.TemporaryDirectory(prefix="octet-candidates-") as folder:
        copy = shutil.copytree(work.folder / "candidates", Path(folder, "candidates"))
        carrier = Carrier(copy)

        def after(state):
            shutil.copyfile(carrier.measurements, work.out / "measurements.jsonl")
            work.found(state.task, measured=state.measured, failed=state.failed, best=state.best, right=True)

        work.at("candidates")
        work.found("candidates", right=True, **measure_job(carrier, after))
