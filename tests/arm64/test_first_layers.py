"""First layers of one channel, whose kernels' columns become channels: the referee's bytes on every level of arm64."""

import sys
from pathlib import Path

import numpy as np
import pytest
from tvm import relax

from octet.passes import ops
from octet.passes.lower import codegen
from octet.passes.lower.cpu import spread_columns
from octet.passes.referee.reference import run
from octet.targets import registry
from octet.targets.arm64 import emulator
from octet.targets.opening import open_session
from octet.targets.x86.emulation.emulated_variant import emulated

sys.path.insert(0, str(Path(__file__).parents[1] / "x86"))
from rule_harness import build, dequantize, network, quantize, samples  # noqa: E402

LEVELS = [spec.name for spec in registry.TARGETS.values() if spec.machine == "aarch64"]
ATTRS = {"clip_min": -128, "clip_max": 127, "out_dtype": "int8", "out_zero_point": 3, "data_zero_point": 3}


def body(b, x):
    random = np.random.default_rng(3)
    weight = relax.const(random.integers(-90, 90, (32, 1, 2, 4)).astype("int8"))
    bias, scale = random.integers(-99, 99, 32).astype("int32"), np.full(32, 1e-3, "float32")
    geometry = {"strides": [1, 2], "padding": [0, 3, 1, 0], "dilation": [2, 1], "groups": 1}
    operands = [quantize(b, x), weight, relax.const(bias), relax.const(scale)]
    return dequantize(b, b.emit(ops.call("octet.conv2d", operands, **geometry, **ATTRS)))


@pytest.mark.parametrize("level", LEVELS)
def test_columns_become_channels(level, monkeypatch):
    monkeypatch.setattr(spread_columns, "_MULTIPLY_ADDS", 0)
    module, feed, lacks = network({"x": (2, 1, 9, 21)}, body), samples({"x": (2, 1, 9, 21)}), emulator.lacking()
    if lacks:
        monkeypatch.setattr(codegen, "link", lambda *_: (b"", b""))  # The LLVM IR is all that is wanted.
    variant = build(module, feed, level)
    session = open_session(emulated(variant)) if lacks else emulator.EmulatedArm64Session(variant)
    [workload] = [step.workload for step in variant.steps if step.operator == "octet.conv2d"]
    assert '"channels":4' in workload.replace(" ", "")
    np.testing.assert_array_equal(session.run(feed)["out0"], run(module, feed)[0])
