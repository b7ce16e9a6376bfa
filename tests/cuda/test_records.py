"""Records of CUDA kernels: a network's workloads are its tasks, and lowering applies what was found for them."""

import json

import numpy as np
import pytest
from cuda_harness import SM80, Net, differences, emulator

from octet.passes.lower.cuda.lowering import lower
from octet.passes.lower.cuda.rules import RULES
from octet.targets.cuda.compiling.source import named, source
from octet.targets.workloads import workload_from
from octet.tuning.apply import Applied
from octet.tuning.database import Database, key_of
from octet.tuning.records import Record
from octet.tuning.spaces.registry import spaces_of, to_json
from octet.tuning.tasks import tasks_of_graph


@pytest.fixture
def database(tmp_path):
    opened = Database(str(tmp_path / "records.db"))
    yield opened
    opened.close()


def test_records_are_applied_and_the_bytes_stay(network, database):
    tasks = tasks_of_graph(network, SM80)
    assert [task.count for task in tasks] == [1, 1, 1]
    wanted = {}
    for task in tasks:
        space = spaces_of(task.workload, SM80)[0]
        other = next(schedule for schedule in (*space.guesses, *space.every()) if schedule != space.default)
        wanted[task.workload.key] = other
        schedules = [to_json(space.family, schedule) for schedule in (other, space.default)]
        database.put(
            Record(
                key_of(task.workload.key, SM80),
                task.workload.as_dict(),
                SM80.name,
                *schedules,
                1e-6,
                2e-6,
                0.5,
                0.01,
                "a GPU",
            )
        )
    records = Applied(database, SM80)
    lowered = lower(network, SM80, RULES, records)
    steps = [call.step for call in lowered.calls if call.step.workload]
    assert records.tuned == 3 and {step.source for step in steps} == {"record 1", "record 2", "record 3"}
    assert all(
        wanted[workload_from(json.loads(step.workload)).key] is not None and "=" in step.schedule for step in steps
    )
    names = named(call.kernel for call in lowered.calls)
    net = Net(lowered, names, source(names))
    x = np.random.default_rng(2).standard_normal((2, 3, 12, 11)).astype(np.float32)
    assert differences(emulator([net]), net, network, {"x": x}, seeds=(0,)) == []


def test_without_records_kernels_say_default(network, database):
    steps = [call.step for call in lower(network, SM80, RULES, Applied(database, SM80)).calls]
    assert [step.source for step in steps if step.workload] == ["default"] * 3
    assert [step.source for step in steps if not step.workload] == [""] * (len(steps) - 3)
