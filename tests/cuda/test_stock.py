"""Generated kernels are tasks of MetaSchedule's stock space: what it decides, that every schedule has the default's
bits, and records."""

import json

import numpy as np
import pytest
from cuda_harness import SM80, emulator, function, nets
from tvm import relax

from octet.passes.lower.cuda.lowering import lower
from octet.passes.lower.cuda.rules import RULES
from octet.targets.cuda.compiling.compiler import find_compiler
from octet.targets.cuda.generated import nest
from octet.targets.cuda.generated.stock import Stock, scheduled, stock_choices
from octet.targets.errors import TargetError
from octet.targets.measure.job import Input
from octet.targets.tuned import Tuned
from octet.targets.workloads import workload_from
from octet.tuning.apply import Applied
from octet.tuning.cuda_builder import build
from octet.tuning.database import Database, key_of
from octet.tuning.portable_case import portable_case
from octet.tuning.records import Record
from octet.tuning.schedule_search import CostModel, ScheduleSearch
from octet.tuning.spaces.registry import from_json, spaces_of, to_json
from octet.tuning.tasks import tasks_of_graph

RNG = np.random.default_rng(3)
CASES = {
    "tile": (lambda a: relax.op.tile(a, (2, 3)), (9, 70)),
    "product of axes": (lambda a: relax.op.prod(a, axis=[1, 2]), (50, 4, 3)),
    "small": (lambda a: relax.op.prod(a, axis=[1]), (5, 7)),
}


def _module(name):
    make, shape = CASES[name]
    inputs = {"a": RNG.standard_normal(shape).astype(np.float32)}
    return function(lambda b, a: b.emit(make(a)), **inputs), inputs


@pytest.fixture(scope="module")
def tasks():
    return {name: tasks_of_graph(_module(name)[0], SM80)[0].workload for name in CASES}


def test_the_stock_rules_decide_threads_and_unrolling(tasks):
    assert stock_choices(tasks["tile"].function) == {"threads": (32, 64, 128, 256, 512, 1024)}
    assert "unroll" in stock_choices(tasks["product of axes"].function)
    text = scheduled(tasks["tile"].function, Stock(256, 0)).script()
    assert 'T.thread_binding(T.int64(256), thread="threadIdx.x")' in text and "blockIdx.x" in text


@pytest.mark.parametrize("name", CASES)
def test_every_schedule_has_the_defaults_bits(name, tasks):
    module, inputs = _module(name)
    (space,) = spaces_of(tasks[name], SM80)
    every = space.every()
    assert space.default in every and Stock() == space.default
    tuned = [
        lambda workload, schedule=schedule: Tuned(schedule, "a record")
        for schedule in every[:: max(1, len(every) // 2)]
    ]
    default, *others = nets([module] * (1 + len(tuned)), SM80, [None, *tuned])
    emulated = emulator([default])
    wanted = default.run(emulated, inputs, 0)[0].tobytes()
    assert name != "tile" or wanted == np.tile(inputs["a"], (2, 3)).tobytes()
    for made in others:
        assert {step.source for step in made.steps if step.kernel == "generated"} == {"a record"}
        assert {made.run(emulated, inputs, seed)[0].tobytes() for seed in (0, 2)} == {wanted}


def test_workloads_survive_json_and_records_are_applied(tasks, tmp_path):
    workload = tasks["tile"]
    assert (
        workload_from(json.loads(workload.text)) == workload
        and workload.name == "generated tile float32[18, 210]"
        and workload.multiply_adds == 18 * 210
    )
    database = Database(str(tmp_path / "records.db"))
    schedules = [to_json("stock", Stock(*values)) for values in ((512, 0), (128, 0))]
    assert from_json(schedules[0]) == ("stock", Stock(512, 0))
    database.put(
        Record(key_of(workload.key, SM80), workload.as_dict(), SM80.name, *schedules, 1e-6, 2e-6, 0.5, 0.01, "a GPU")
    )
    module = _module("tile")[0]
    step = next(
        call for call in lower(module, SM80, RULES, Applied(database, SM80)).calls if call.step.kernel == "generated"
    )
    assert step.kernel.block == 512 and step.step.source == "record 1"
    step = next(call for call in lower(module, SM80, RULES).calls if call.step.kernel == "generated")
    assert (
        step.kernel.block == 128
        and step.step.source == "default"
        and json.loads(step.step.workload)["kind"] == "cuda-nest"
    )
    database.close()


def test_a_session_can_search_and_build(tasks):
    try:
        find_compiler(80)
    except TargetError as error:
        pytest.skip(str(error))
    workload = tasks["product of axes"]
    case, (space,) = portable_case(workload), spaces_of(workload, SM80)
    assert case.made[0].array().dtype == np.float32 and case.expected.size == 50
    search = ScheduleSearch(space, CostModel(), "nest", SM80.tvm_target())
    for schedule in (None, *search.propose(2)):
        built = build(workload, schedule, case, SM80)
        assert (
            built.family == "stock" and built.operands == (("input", 0), ("output", 0)) and built.code[:4] == b"\x7fELF"
        )


def test_indices_are_no_task():
    inputs = {"a": RNG.standard_normal((5,)).astype(np.float32), "i": np.array([1, 2, 3])}
    module = function(lambda b, a, i: b.emit(relax.op.take(a, i)), **inputs)
    assert tasks_of_graph(module, SM80) == []


def test_a_nest_that_its_text_does_not_give_back_is_no_task(tasks, monkeypatch):
    module, read = _module("small")[0], nest.parsed_function
    monkeypatch.setattr(nest, "parsed_function", lambda text: read(tasks["tile"].tir))
    assert tasks_of_graph(module, SM80) == []


def test_floats_that_machines_make_up_are_numbers():
    made = Input.of(1, 400, "float32").array()
    assert made.shape == (100,) and np.isfinite(made).all() and np.abs(made).max() <= 8
