"""Every kernel family on every level of arm64: the bytes of the NumPy referee, from the machine code under QEMU where that and a cross compiler are installed,
else from the same LLVM IR with arm64's instructions spelled portably."""

import sys
from pathlib import Path

import numpy as np
import pytest
from tvm import relax

from octet.passes import ops
from octet.passes.lower import codegen
from octet.passes.realize.reference import run
from octet.targets import registry
from octet.targets.arm64 import emulator
from octet.targets.opening import open_session
from octet.targets.x86.emulation.library import emulated

sys.path.insert(0, str(Path(__file__).parents[1] / "x86"))
from rule_harness import build, dequantize, network, quantize, samples  # noqa: E402

LEVELS = [spec for spec in registry.TARGETS.values() if spec.machine == "aarch64"]
IMAGES = [(2, 37, 6, 9), (1, 3, 7, 6), (1, 64, 5, 6)]  # channels: odd, a first layer's, whole vectors
ADD = {"a_zero_point": 3, "b_zero_point": -4, "a_multiplier": 0.7, "b_multiplier": 1.1, "out_zero_point": 5, "clip_min": -120, "clip_max": 101}
POOL = {"pool_size": [3, 2], "strides": [1, 2], "padding": [1, 0, 2, 1], "data_zero_point": 3, "multiplier": 0.8, "out_zero_point": 1, "clip_min": -100, "clip_max": 99}
MATMUL = {"multiplier": 0.003, "out_zero_point": 0, "clip_min": -120, "clip_max": 119, "out_dtype": "int8"}


def convolution(b, rng, x, channels, kernel=(1, 1), strides=(1, 1), padding=(0, 0, 0, 0), groups=1, residual=None):
    """octet.conv2d with random constants, the ends of their types among them."""
    inputs = int(x.ty.shape.values[1])
    weight = rng.integers(-127, 128, (channels, inputs // groups, *kernel)).astype(np.int8)
    weight.reshape(-1)[:3] = -127
    constants = [weight, rng.integers(-5000, 5000, channels).astype(np.int32), (rng.random(channels) * 0.02 / np.sqrt(weight[0].size)).astype(np.float32)]
    more = {"residual_zero_point": 4, "residual_multiplier": 0.6} if residual is not None else {"residual_zero_point": 0, "residual_multiplier": 0.0}
    attrs = {"strides": list(strides), "padding": list(padding), "dilation": [1, 1], "groups": groups, "data_zero_point": 3, "out_zero_point": -7, "clip_min": -128,
             "clip_max": 127, "out_dtype": "int8"} | more  # fmt: skip
    return b.emit(ops.call("octet.conv2d", [x, *map(relax.const, constants), *([residual] if residual is not None else [])], **attrs))


def images(b, odd, first, whole):
    """Convolutions (dense, pointwise, of few channels, depthwise with and without strides, with a table or a residual behind), pooling, elementwise."""
    rng = np.random.default_rng(5)
    odd, first, whole = (quantize(b, x) for x in (odd, first, whole))
    table = relax.const(rng.permutation(256).astype("uint8").view("int8"))
    wide = convolution(b, rng, odd, 40, (2, 3), (1, 2), (1, 0, 2, 1))
    point = convolution(b, rng, wide, 24)
    found = [convolution(b, rng, point, 24, residual=point), b.emit(ops.call("octet.table", [convolution(b, rng, first, 19, (2, 3)), table]))]
    found += [convolution(b, rng, whole, 64, (3, 3), (1, 1), (1, 1, 1, 1), 64), convolution(b, rng, odd, 37, (5, 3), (2, 1), (2, 1, 2, 1), 37)]
    found += [b.emit(ops.call("octet.avg_pool2d", [odd], count_include_pad=0, **POOL)), b.emit(relax.op.nn.max_pool2d(odd, [3, 3], [2, 2], [1, 1, 1, 1]))]
    found += [b.emit(ops.call("octet.add", [first, b.emit(ops.call("octet.table", [first, table]))], **ADD))]
    return [dequantize(b, value) for value in found]


def rows(b, q, k, v):
    """Products of computed tensors, softmax in front of one, normalisations, scalar functions."""
    left, right, values = (quantize(b, x, zero_point=0) for x in (q, k, v))
    product = b.emit(ops.call("octet.matmul", [left, right], **MATMUL))
    scores = b.emit(ops.call("octet.matmul", [left, right], **MATMUL | {"out_dtype": "float32", "clip_min": -np.inf, "clip_max": np.inf}))
    soft = quantize(b, b.emit(relax.op.nn.softmax(scores, -1)), 1 / 127, 0)
    mixed = b.emit(ops.call("octet.matmul", [soft, values], **MATMUL | {"multiplier": 0.01}))
    ones, zeros = (relax.const(np.full(int(q.ty.shape.values[-1]), value, np.float32)) for value in (1.5, 0.25))
    normal = quantize(b, b.emit(relax.op.nn.layer_norm(dequantize(b, left, zero_point=0), ones, zeros, axes=[-1])), 0.02, -7)
    floats = [b.emit(ops.call("octet.unary", [q], kind=kind)) for kind in ("exp", "tanh")]
    return [dequantize(b, value) for value in (product, mixed, normal)] + floats


NETWORKS = {
    "images": ({f"x{i}": shape for i, shape in enumerate(IMAGES)}, images),
    "rows": ({"q": (2, 19, 40), "k": (2, 40, 21), "v": (2, 21, 33)}, rows),
}


@pytest.fixture(scope="module", params=NETWORKS)
def case(request):
    """A network, its inputs, and what the referee says."""
    shapes, body = NETWORKS[request.param]
    module, inputs = network(shapes, body), samples(shapes)
    for array in inputs.values():
        array.reshape(-1)[:4] = (np.inf, -np.inf, 1e30, -1e30)
    return module, inputs, run(module, inputs)


@pytest.mark.parametrize("spec", LEVELS, ids=lambda spec: spec.name)
def test_a_level_gives_the_referees_bytes(spec, case, monkeypatch):
    module, inputs, wanted = case
    lacks = emulator.missing()
    if lacks:
        monkeypatch.setattr(codegen, "link", lambda *_: (b"", b""))  # the LLVM IR is all that is wanted
    variant = build(module, inputs, spec.name)
    assert not variant.extra["fallbacks"]
    found = (open_session(emulated(variant)) if lacks else emulator.EmulatedSession(variant)).run(inputs)
    for i, value in enumerate(wanted):
        np.testing.assert_array_equal(found[f"out{i}"], value, err_msg=f"output {i}")
    if lacks:
        pytest.skip(f"equal where its instructions are spelled portably; not run as machine code: {lacks}")
