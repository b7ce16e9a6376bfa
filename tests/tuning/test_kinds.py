"""Every kind of kernel: its workload, its space, and that what is built answers as the referee."""

import json
from dataclasses import asdict, fields, replace

import numpy as np
import pytest

from octet.targets import detect
from octet.targets.registry import find
from octet.targets.x86.conv.problem import ConvProblem, Epilogue
from octet.targets.x86.elementwise.integer import BinaryProblem, RequantizeProblem
from octet.targets.x86.elementwise.table import TableProblem
from octet.targets.x86.matmul.problem import MatmulProblem, Matrices, SoftmaxEpilogue
from octet.targets.x86.rows.layer_norm import LayerNormProblem
from octet.targets.x86.rows.softmax import SoftmaxProblem
from octet.targets.x86.rows.softmax_table import SoftmaxTableProblem
from octet.targets.x86.windows.pooling import PoolProblem
from octet.targets.x86.workload import from_dict, workload_of
from octet.tuning.builder import build
from octet.tuning.kinds.registry import KINDS, case_of
from octet.tuning.runner import LoadedKernel
from octet.tuning.schedule_search import FEATURES, vector
from octet.tuning.spaces import byte_loops
from octet.tuning.spaces.registry import SCHEDULES, from_json, spaces_of, to_json
from octet.tuning.spaces.space import VERSIONS


def scores(heads=2, tokens=20, size=16, mask=False):
    width, row = heads * size, 64
    masks = Matrices(tokens + 64, 0, (0,), 0, 1) if mask else None
    return MatmulProblem(
        (heads,),
        tokens,
        size,
        tokens,
        Matrices(tokens * width + 64, 0, (size,), width, 1),
        Matrices(tokens * width + 64, 0, (size,), 1, width),
        Matrices(heads * tokens * row + 64, 0, (tokens * row,), row, 1),
        0.001,
        softmax=SoftmaxEpilogue(0.3, masks, 0.01),
    )


def mixed(heads=2, tokens=20, size=16):
    width, row = heads * size, 64
    return MatmulProblem(
        (heads,),
        tokens,
        tokens,
        size,
        Matrices(heads * tokens * row + 64, 0, (tokens * row,), row, 1),
        Matrices(tokens * width + 64, 0, (size,), width, 1),
        Matrices(tokens * width + 64, 0, (size,), width, 1),
        0.02,
        out_zero_point=9,
        clip_min=-128,
        clip_max=127,
        a_zero_point=-128,
    )


PROBLEMS = {
    "scores": scores(),
    "scores with mask": scores(mask=True),
    "values": mixed(),
    "convolution of bfloat16": ConvProblem(
        "bfloat16", 1, 20, 6, 6, 40, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1, 0, Epilogue("float32", residual=True)
    ),
    "sum": BinaryProblem("add", 1, 49, 24, 1, 2, 3, 0.1, 0.2),
    "product along channels": BinaryProblem("mul", 2, 9, 40, 1, 2, 3, 0.01, second="channel"),
    "requantize": RequantizeProblem(960, 1, 2, 0.3),
    "table": TableProblem(100, 33, False, False),
    "tables per channel": TableProblem(10, 33, True, False),
    "largest": PoolProblem("max", "int8", (1, 20, 9, 9), (3, 3), (2, 2), (1, 1, 1, 1)),
    "average": PoolProblem("average", "int8", (1, 20, 9, 9), (3, 3), (2, 2), (1, 1, 1, 1), multiplier=0.8),
    "average of images": PoolProblem("average", "int8", (1, 20, 7, 7), (7, 7), (1, 1)),
    "average of floats": PoolProblem("average", "float32", (1, 20, 7, 7), (7, 7), (1, 1)),
    "softmax": SoftmaxProblem((3, 5, 37), 0.01),
    "softmax over its largest value": SoftmaxProblem((3, 5, 37), 0.01, peak=True),
    "softmax to float": SoftmaxProblem((15, 37), None),
    "softmax by table": SoftmaxTableProblem((3, 5, 37), 127, 0),
    "layer normalisation": LayerNormProblem(9, 100, 1e-6, (0.1, 3), (0.2, 4)),
    "layer normalisation of floats": LayerNormProblem(9, 100, 1e-6, None, None),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_workload_is_its_own_representative_and_survives_json(name):
    chosen = workload_of(PROBLEMS[name])
    assert workload_of(chosen.problem) == chosen and chosen.name and chosen.vectors > 0
    assert from_dict(json.loads(json.dumps(chosen.as_dict(), allow_nan=False))) == chosen


def test_every_kind_is_tried():
    assert {type(problem) for problem in PROBLEMS.values()} | {type(find_conv())} == set(KINDS)


def find_conv():
    return ConvProblem("int8", 1, 16, 8, 8, 32, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1, 5, Epilogue("int8"))


def test_numbers_do_not_matter_and_structure_does():
    def key(problem):
        return workload_of(problem).key

    assert (
        key(scores())
        == key(replace(scores(), multiplier=0.5, softmax=SoftmaxEpilogue(0.7, None, 0.02)))
        != key(scores(mask=True))
    )
    assert (
        len({key(p) for p in (scores(), scores(tokens=21), scores(heads=3), mixed(), replace(mixed(), clip_min=-5))})
        == 5
    )
    add = PROBLEMS["sum"]
    assert key(add) == key(replace(add, a_zero_point=7, b_multiplier=0.3)) != key(replace(add, clip_min=0))
    assert key(PROBLEMS["softmax"]) == key(SoftmaxProblem((15, 37), 0.02)) != key(PROBLEMS["softmax to float"])
    assert key(PROBLEMS["softmax"]) != key(PROBLEMS["softmax over its largest value"])
    assert "peak" not in workload_of(PROBLEMS["softmax"]).text, (
        "a switch that is off leaves the keys of earlier records"
    )


@pytest.mark.parametrize("target", ["amx", "x86-64-v3"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_the_default_is_a_member(name, target):
    for space in spaces_of(workload_of(PROBLEMS[name]), find(target)):
        assert space.schedule(asdict(space.default)) == space.default and space.default in space.every()
        assert list(space.decisions) == list(asdict(space.default)), "a trace has one decision per field, in order"
        assert from_json(to_json(space.family, space.default)) == (space.family, space.default)
        assert vector(space, asdict(space.default)).shape == (1, FEATURES)


@pytest.mark.parametrize("name", PROBLEMS)
def test_schedules_agree_with_the_referee(name, spec, tmp_path, monkeypatch):
    monkeypatch.setattr(byte_loops, "SMALL", 0)  # Small as these are, both choices are tried.
    chosen = workload_of(PROBLEMS[name])
    case = case_of(chosen)
    (space,) = spaces_of(chosen, spec)
    others = [schedule for schedule in space.every() if schedule != space.default]
    assert others and len(np.unique(case.expected)) > 3
    picked = others[np.random.default_rng(len(name)).integers(len(others))]
    kernel = LoadedKernel(Here(tmp_path), build(chosen, picked, case, spec), case, "kernel.so")
    answer = kernel.answer()
    assert case.agrees(answer), picked
    if case.made:
        assert case.output.agrees(answer), "as another machine sees it"
    answer.view(np.uint8)[0] ^= 0x40
    assert not case.agrees(answer)


class Here:
    """This process in place of a worker."""

    def __init__(self, folder):
        self._folder = folder

    def upload(self, data, name):
        (self._folder / name).write_bytes(data)

    def load_module(self, name):
        import tvm

        detect.request_amx()
        return tvm.runtime.load_module(str(self._folder / name))

    def cpu(self, index):
        import tvm

        return tvm.cpu(index)


def test_schedules_have_these_decisions_in_this_version():
    """Records are found by the version of the spaces. Whoever adds a decision or changes what one means gives VERSIONS
    another number, and then changes this."""
    decisions = {
        "amx": ["pixels_outer", "units", "unroll", "phases", "ahead", "woven"],
        **{family: ["vectors", "pixels", "pixels_outer", "units"] for family in ("vnni", "listed", "fma", "bf16")},
        "depthwise": ["pixels", "rows", "staged"],
        "attention": ["tiles", "chunks", "together", "height"],
        "average": ["parallel", "chains"],
        "rows": ["parallel", "together"],
        "loops": ["parallel"],
    }
    assert VERSIONS["cpu"] == 3
    assert {family: [field.name for field in fields(SCHEDULES[family])] for family in decisions} == decisions


def test_a_record_that_lacks_a_decision_is_not_taken_for_its_default():
    with pytest.raises(KeyError, match="amx: ahead, woven"):
        from_json({"family": "amx", "pixels_outer": True, "units": 4, "unroll": 4, "phases": True})
