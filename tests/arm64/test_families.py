"""Every kernel family on arm64: the bytes of the NumPy referee for random problems, from the machine code under QEMU
where that and a cross compiler are installed, else from the same LLVM IR with arm64's instructions spelled portably.
The problems of a level are one network: one library and one process of the emulator."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from octet.passes.lower import codegen
from octet.passes.referee.reference import run
from octet.targets import registry
from octet.targets.arm64 import emulator
from octet.targets.opening import open_session
from octet.targets.x86.emulation.emulated_variant import emulated

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "x86")]
from random_cases import OF_A_LEVEL, OF_ALL, cases  # noqa: E402
from rule_harness import build, network, samples  # noqa: E402

LEVELS = [spec for spec in registry.TARGETS.values() if spec.machine == "aarch64"]
# `make soak` takes all families on all levels, with and without --self-check.
SOAK = bool(os.environ.get("OCTET_SOAK"))


def drawn(level, seed):
    """Cases of LEVELS[level]: of every family whose kernels depend on the level, and of a third of the others."""
    return cases(seed * len(LEVELS) + level, OF_A_LEVEL + (OF_ALL if SOAK else OF_ALL[level :: len(LEVELS)]))


class Problems:
    """The network of some cases, its inputs, and what the referee says."""

    def __init__(self, cases):
        self.cases, self.owners = cases, []
        shapes = {f"{name} {i}": shape for name, case in self.cases.items() for i, shape in enumerate(case.shapes)}
        self.module, self.inputs = network(shapes, self._body), samples(shapes)
        for name, case in self.cases.items():
            for i in range(len(case.shapes) if case.infinite else 0):
                array = self.inputs[f"{name} {i}"].reshape(-1)
                array[:4] = (np.inf, -np.inf, 1e30, -1e30)[: array.size]
        self.wanted = run(self.module, self.inputs)

    def _body(self, b, *params):
        results, left = [], iter(params)
        for name, case in self.cases.items():
            found = case.body(b, *(next(left) for _ in case.shapes))
            found = [b.emit(value) for value in (found if isinstance(found, list) else [found])]
            self.owners += [name] * len(found)
            results += found
        return results

    def wrong(self, found):
        """{case: how many elements differ} of outputs `found`."""
        differ = {}
        for i, (name, wanted) in enumerate(zip(self.owners, self.wanted, strict=True)):
            got, limit = found[f"out{i}"], self.cases[name].tolerance
            assert got.shape == wanted.shape and got.dtype == wanted.dtype, name
            same = (
                np.isclose(got, wanted, limit, limit * max(1.0, np.abs(wanted).max(initial=0.0)), equal_nan=True)
                if limit
                else (got == wanted) | (got != got) & (wanted != wanted)
            )
            if not same.all():
                differ[name] = int((~same).sum())
        return differ


@pytest.mark.parametrize("seed", range(10 if SOAK else 1))
@pytest.mark.parametrize("level", range(len(LEVELS)), ids=[spec.name for spec in LEVELS])
def test_a_level_gives_the_referees_bytes(level, seed, monkeypatch):
    problems, lacks = Problems(drawn(level, seed)), emulator.lacking()
    if lacks:
        monkeypatch.setattr(codegen, "link", lambda *_: (b"", b""))  # The LLVM IR is all that is wanted.
    variant = build(problems.module, problems.inputs, LEVELS[level].name, self_check=bool(seed % 2))
    # Indices and truth values have no kernel of ours.
    assert set(variant.extra["fallbacks"]) <= {"relax.astype", "relax.greater"}
    found = (open_session(emulated(variant)) if lacks else emulator.EmulatedArm64Session(variant)).run(problems.inputs)
    assert not (wrong := problems.wrong(found)), f"elements that differ from the referee's: {wrong}"
    if lacks:
        pytest.skip(f"equal where its instructions are spelled portably; not run as machine code: {lacks}")
