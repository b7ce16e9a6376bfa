"""What looks at a network's values, on arm64: the kernels of calibration, whose statistics are those of this machine's
own kernels (held against NumPy in tests/x86/test_summary.py), and the counts of clipped values. None of it depends
on the level: `make soak` takes all three, ten times."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from tvm import relax

from octet.passes import ops
from octet.targets import detect, registry
from octet.targets.arm64 import emulator
from octet.targets.opening import open_session
from octet.targets.x86.elementwise.fake_quantize import HIGH, LOW, PARAMETERS, SCALE, SWITCH
from octet.targets.x86.emulation.emulated_variant import emulated

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "x86")]
from random_products import CHANNELS, coded, convolution, few, one, real  # noqa: E402
from rule_harness import build, network, samples  # noqa: E402

LEVELS = [spec.name for spec in registry.TARGETS.values() if spec.machine == "aarch64"]
SOAK = bool(os.environ.get("OCTET_SOAK"))
pytestmark = pytest.mark.skipif(not SOAK, reason="make soak runs these (OCTET_SOAK)")
needs_cross = pytest.mark.skipif(bool(emulator.lacking()), reason=emulator.lacking())
each = pytest.mark.parametrize("seed", range(10))
level = pytest.mark.parametrize("level", LEVELS)


@needs_cross
@level
@each
def test_calibration(level, seed):
    rng = np.random.default_rng(seed)
    image = (few(rng, 1, 2), one(rng, *CHANNELS), few(rng, 1, 6), few(rng, 1, 6))
    rows = (few(rng, 1, 9), few(rng, 1, 300))
    scale, low, high = np.float32(rng.uniform(0.01, 0.1)), few(rng, -128, -9), few(rng, 5, 127)
    parameters = np.zeros(PARAMETERS, np.float32)
    parameters[[SCALE, LOW, HIGH, SWITCH]] = scale, low, high, 1

    def body(b, x, y):
        packed = b.emit(ops.call("octet.unary", [x], kind="tanh"))
        rounded = [b.emit(ops.call("octet.fake_quantize", [v, relax.const(parameters)])) for v in (x, y)]
        off = b.emit(ops.call("octet.fake_quantize", [y, relax.const(np.zeros(PARAMETERS, np.float32))]))
        sizes = [np.prod(shape) for shape in (image, image, rows)]
        seen = [
            b.emit(ops.call("octet.statistics", [v], samples=few(rng, 1, min(60, size))))
            for v, size in zip((packed, x, y), sizes)
        ]
        return [*rounded, off, *seen]

    shapes = {"x": image, "y": rows}
    module, inputs = network(shapes, body), samples(shapes, seed)
    found = emulator.EmulatedArm64Session(build(module, inputs, level)).run(inputs)
    wanted = open_session(build(module, inputs)).run(inputs)
    for name, array in zip(("out0", "out1"), (inputs["x"], inputs["y"]), strict=True):
        wanted[name] = np.clip(np.rint(array / scale), np.float32(low), np.float32(high)) * scale
    wanted["out2"] = inputs["y"]
    assert not [name for name, array in wanted.items() if array.tobytes() != found[name].tobytes()]


@level
@each
def test_counts_of_clipped_values(level, seed):
    """Of the LLVM IR with arm64's instructions spelled portably: the program that QEMU runs gives outputs only."""
    case = convolution(np.random.default_rng(seed))
    shapes = {f"x{i}": shape for i, shape in enumerate(case.shapes)}
    module = network(shapes, lambda b, *operands: real(b, coded(b, b.emit(case.body(b, *operands)))))
    inputs = {name: 30 * array for name, array in samples(shapes, seed).items()}
    counts = []
    for name in (level, detect.native().name):
        variant = build(module, inputs, name, count_clips=True)
        session = open_session(emulated(variant) if name == level else variant)
        tensors = session.run(inputs, health=True)[1].tensors
        counts.append({(one.layer, one.end): (one.clipped, one.values) for one in tensors})
    here, there = counts
    # A table behind a layer is looked up in registers on one target and in memory on another, where it counts too.
    shared = here.keys() & there.keys()
    assert len(shared) >= 3 and {end: here[end] for end in shared} == {end: there[end] for end in shared}
    assert sum(here[end][0] for end in shared) > 0
