"""Small workloads, and builders and runners that need no compiler: figures follow from the schedule alone."""

import math

import numpy as np
import pytest

import octet.passes  # noqa: F401 - prepares TVM
from octet.targets import detect
from octet.targets.x86.conv.problem import ConvProblem, Epilogue
from octet.targets.x86.workload import workload_of
from octet.tuning.builder import Built
from octet.tuning.runner import Compared, Measured
from octet.tuning.spaces.registry import spaces_of


def make_workload(channels=16, size=8, out=16, kernel=3, stride=1, groups=1, dtype="int8", residual=False):
    int8 = dtype == "int8"
    epilogue = Epilogue(dtype, 4 if int8 else 0, *((-128, 127) if int8 else (-np.inf, np.inf)), residual)
    return workload_of(
        ConvProblem(
            dtype,
            1,
            channels,
            size,
            size,
            out,
            (kernel, kernel),
            (stride, stride),
            (kernel // 2,) * 4,
            (1, 1),
            groups,
            0,
            epilogue,
        )
    )


@pytest.fixture
def workload():
    return make_workload


@pytest.fixture(scope="session")
def spec():
    return detect.native()


class PretendBuilder:
    """Builds nothing; fails for schedules of `broken`."""

    def __init__(self, spec, broken=lambda schedule: False):
        self.spec, self.broken, self.built = spec, broken, 0

    def build(self, wanted, until=math.inf):
        made = []
        for workload, schedule in wanted:
            space = spaces_of(workload, self.spec)[0]
            self.built += 1
            failed = schedule is not None and self.broken(schedule)
            made.append(
                "did not compile: pretended"
                if failed
                else Built(b"", np.zeros(1, np.uint8), 0, 1, space.family, schedule or space.default, 1, "uint8")
            )
        return made


class PretendRunner:
    """cost(schedule) -> seconds; noise: relative, of every figure."""

    def __init__(self, cost, noise=0.0):
        self.cost, self.noise, self.measured = cost, noise, []
        self._rng = np.random.default_rng(0)

    def compare(self, case, default, candidates, rounds, until=math.inf):
        base = self.cost(default.schedule)
        outcomes = []
        for built in candidates:
            self.measured.append(built.schedule)
            seconds = self.cost(built.schedule)
            ratios = seconds / base * (1 + self.noise * self._rng.standard_normal(rounds))
            outcomes.append(Measured(error="crashed") if np.isnan(seconds) else Measured(seconds, ratios))
        return Compared(Measured(base, np.ones(rounds)), tuple(outcomes))


@pytest.fixture
def pretend():
    return PretendBuilder, PretendRunner
