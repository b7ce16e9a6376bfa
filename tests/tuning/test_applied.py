"""Records of kernels that multiply nothing, or two computed tensors, in a compiled network: applied, named, and without
a changed byte."""

import sys
from pathlib import Path

import numpy as np
import pytest
from tvm import relax

from octet.passes import ops
from octet.passes.lower.build import build_variant
from octet.passes.referee.reference import run
from octet.targets.runtime import Session
from octet.targets.tuned import Tuned, words
from octet.targets.variant import TensorSpec
from octet.tuning.apply import Applied
from octet.tuning.database import Database, key_of
from octet.tuning.records import Record
from octet.tuning.spaces import byte_loops
from octet.tuning.spaces.registry import spaces_of, to_json
from octet.tuning.tasks import tasks_of_variant

sys.path.insert(0, str(Path(__file__).parents[1] / "x86"))
from rule_harness import dequantize, network, quantize, samples

HEADS, TOKENS, SIZE = 2, 20, 16
SHAPES = {
    "q": (1, TOKENS, HEADS * SIZE),
    "k": (1, TOKENS, HEADS * SIZE),
    "v": (1, TOKENS, HEADS * SIZE),
    "image": (1, 20, 9, 9),
}


def product(b, left, right, dtype, multiplier):
    low, high = (-128, 127) if dtype == "int8" else (-np.inf, np.inf)
    return b.emit(
        ops.call(
            "octet.matmul",
            [left, right],
            multiplier=multiplier,
            out_zero_point=0,
            clip_min=low,
            clip_max=high,
            out_dtype=dtype,
        )
    )


def body(b, q, k, v, image):
    """An attention, its sum with the queries through a table, and a pooled image."""

    def split(x, axes):
        return b.emit(relax.op.permute_dims(b.emit(relax.op.reshape(x, [1, TOKENS, HEADS, SIZE])), axes))

    q, k, v = (quantize(b, x, 0.05, 0) for x in (q, k, v))
    scores = product(b, split(q, [0, 2, 1, 3]), split(k, [0, 2, 3, 1]), "float32", 0.003)
    chances = quantize(b, b.emit(relax.op.nn.softmax(scores, -1)), 1 / 127, 0)
    mixed = b.emit(relax.op.permute_dims(product(b, chances, split(v, [0, 2, 1, 3]), "int8", 0.01), [0, 2, 1, 3]))
    mixed = b.emit(relax.op.reshape(mixed, [1, TOKENS, HEADS * SIZE]))
    total = b.emit(
        ops.call(
            "octet.add",
            [mixed, q],
            a_zero_point=0,
            b_zero_point=0,
            out_zero_point=1,
            a_multiplier=0.5,
            b_multiplier=0.6,
            clip_min=-128,
            clip_max=127,
        )
    )
    table = relax.const(np.random.default_rng(0).integers(-128, 128, 256).astype(np.int8))
    total = b.emit(ops.call("octet.table", [total, table]))
    pooled = b.emit(relax.op.nn.max_pool2d(quantize(b, image, 0.05, 0), (3, 3), (2, 2), (1, 1, 1, 1)))
    return [dequantize(b, total), dequantize(b, pooled)]


@pytest.fixture(scope="module")
def net():
    module, inputs = network(SHAPES, body), samples(SHAPES)
    ins = tuple(TensorSpec(name, array.shape, "float32") for name, array in inputs.items())
    outs = (TensorSpec("total", (1, TOKENS, HEADS * SIZE), "float32"), TensorSpec("pooled", (1, 20, 5, 5), "float32"))
    return module, inputs, ins, outs


def other(workload, spec):
    """A schedule that is not the default: the last one of the space."""
    (space,) = spaces_of(workload, spec)
    return (
        space.family,
        next(schedule for schedule in reversed(space.every()) if schedule != space.default),
        space.default,
    )


def test_schedules_from_a_database(net, spec, tmp_path, monkeypatch):
    monkeypatch.setattr(byte_loops, "SMALL", 0)
    module, inputs, ins, outs = net
    tasks = tasks_of_variant(build_variant(module, spec, ins, outs), spec)
    assert {task.workload.as_dict()["kind"] for task in tasks} == {"matmul", "binary", "table", "pool"}
    database = Database(str(tmp_path / "records.db"))
    for task in tasks:
        family, schedule, default = other(task.workload, spec)
        database.put(
            Record(
                key_of(task.workload.key, spec),
                task.workload.as_dict(),
                spec.name,
                to_json(family, schedule),
                to_json(family, default),
                1e-6,
                2e-6,
                0.5,
                0.01,
                "here",
            )
        )
    applied = Applied(database, spec)
    variant = build_variant(module, spec, ins, outs, tuned=applied)
    database.close()
    steps = [step for step in variant.steps if step.workload]
    assert len(steps) == 5 == applied.tuned and all(step.source.startswith("record ") for step in steps), [
        step.source for step in steps
    ]
    found = {step.workload: step.schedule for step in steps}
    assert found == {task.workload.text: words(other(task.workload, spec)[1]) for task in tasks}
    results = Session(variant).run(inputs)
    for one, wanted in zip(outs, run(module, inputs), strict=True):
        np.testing.assert_array_equal(results[one.name], wanted)


def test_what_has_one_schedule_is_no_task(net, spec):
    module, _, ins, outs = net
    kinds = [task.workload.as_dict()["kind"] for task in tasks_of_variant(build_variant(module, spec, ins, outs), spec)]
    assert kinds == ["matmul", "matmul", "pool"], "the sum and the table are too small to be shared out"


def test_a_tuned_schedule_is_asked_for_by_structure(net, spec):
    asked = []
    build_variant(
        net[0],
        spec,
        net[2],
        net[3],
        tuned=lambda workload: (
            asked.append(workload) or Tuned(other(workload, spec)[1], "record 1") if workload.multiply_adds else None
        ),
    )
    assert [workload.problem.softmax is not None for workload in asked] == [True, False]
