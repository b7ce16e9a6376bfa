"""Every space holds its analytical default, and every schedule in it computes what the referee says."""

from dataclasses import asdict

import numpy as np
import pytest

from octet.targets import detect
from octet.targets.registry import find
from octet.tuning.builder import build
from octet.tuning.kinds.registry import case_of
from octet.tuning.runner import LoadedKernel
from octet.tuning.schedule_search import FEATURES, vector
from octet.tuning.spaces.registry import from_json, spaces_of, to_json

SHAPES = {
    "dense": dict(channels=20, size=9, out=24),
    "pointwise with residual": dict(channels=32, size=7, out=80, kernel=1, residual=True),
    "strided": dict(channels=16, size=11, out=32, stride=2),
    "depthwise": dict(channels=24, size=10, out=24, groups=24),
    "float": dict(channels=16, size=6, out=20, dtype="float32"),
    "linear": dict(channels=100, size=1, out=10, kernel=1),
}


@pytest.mark.parametrize("target", ["amx", "avx512vnni"])
@pytest.mark.parametrize("name", SHAPES)
def test_the_default_is_a_member(name, target, workload):
    for space in spaces_of(workload(**SHAPES[name]), find(target)):
        every = space.every() if space.points < 3000 else None
        assert space.schedule(asdict(space.default)) == space.default
        assert every is None or (space.default in every and len(every) == len(set(every)))
        assert list(space.decisions) == list(asdict(space.default)), "a trace has one decision per field, in order"


@pytest.mark.parametrize("name", SHAPES)
def test_schedules_survive_json_and_have_features(name, workload):
    for space in spaces_of(workload(**SHAPES[name]), find("amx")):
        for schedule in (space.default, *space.guesses):
            assert from_json(to_json(space.family, schedule)) == (space.family, schedule)
            row = vector(space, asdict(schedule))
            assert row.shape == (1, FEATURES) and np.isfinite(row).all()


@pytest.mark.parametrize("name", SHAPES)
def test_sampled_schedules_agree_with_the_referee(name, workload, spec):
    chosen, shape = workload(**SHAPES[name]), SHAPES[name]
    case = case_of(chosen)
    rng = np.random.default_rng(len(shape))
    for space in spaces_of(chosen, spec):
        found = [
            space.schedule({key: values[rng.integers(len(values))] for key, values in space.decisions.items()})
            for _ in range(20)
        ]
        for schedule in [s for s in found if s is not None][:2]:
            kernel = LoadedKernel(Here(), build(chosen, schedule, case, spec), case, "kernel.so")
            assert case.agrees(kernel.answer()), schedule


class Here:
    """This process in place of a worker."""

    def __init__(self):
        import tempfile

        self._folder = tempfile.TemporaryDirectory()

    def upload(self, data, name):
        from pathlib import Path

        Path(self._folder.name, name).write_bytes(data)

    def load_module(self, name):
        import tvm

        detect.request_amx()
        return tvm.runtime.load_module(f"{self._folder.name}/{name}")

    def cpu(self, index):
        import tvm

        return tvm.cpu(index)
