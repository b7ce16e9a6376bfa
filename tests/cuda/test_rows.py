"""Softmax and layer normalisation with the quantize and dequantize around them: one launch, and the referee's bytes."""

import numpy as np
import pytest
from cuda_harness import codes, constant, differences, emulated
from tvm import relax

OP = relax.op
RNG = np.random.default_rng(12)


def real(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def _quantize(b, x, scale, zero):
    return b.emit(OP.quantize(x, relax.const(np.float32(scale)), relax.const(np.int8(zero)), axis=-1, out_dtype="int8"))


def _norm(b, x, width, source, target, rms=False):
    if source:
        x = b.emit(
            OP.dequantize(x, relax.const(np.float32(0.04)), relax.const(np.int8(-9)), axis=-1, out_dtype="float32")
        )
    gamma, beta = constant(real(width)), constant(real(width))
    y = (
        OP.nn.rms_norm(x, gamma, axes=[-1], epsilon=1e-5)
        if rms
        else OP.nn.layer_norm(x, gamma, beta, axes=[-1], epsilon=1e-5)
    )
    y = b.emit(y)
    return _quantize(b, y, 0.03, 5) if target else y


CASES = {
    "both": (lambda b, x: _norm(b, x, 70, True, True), {"x": codes(RNG, 2, 9, 70)}),
    "source": (lambda b, x: _norm(b, x, 48, True, False), {"x": codes(RNG, 19, 48)}),
    "target": (lambda b, x: _norm(b, x, 1100, False, True), {"x": real(1, 3, 1100)}),
    "rows of a block": (
        lambda b, x: _norm(b, x, 64, True, True),
        {"x": codes(RNG, 4 * 128 + 3, 64)},
    ),  # A block takes four rows side by side, the last one only three.
    "beyond shared memory": (lambda b, x: _norm(b, x, 12400, True, True), {"x": codes(RNG, 2, 12400)}),
    "neither": (lambda b, x: _norm(b, x, 33, False, False), {"x": real(5, 33)}),
    "rms": (lambda b, x: _norm(b, x, 70, True, True, rms=True), {"x": codes(RNG, 2, 9, 70)}),
    "rms beyond shared memory": (lambda b, x: _norm(b, x, 12400, False, False, rms=True), {"x": real(2, 12400)}),
    "softmax": (lambda b, x: _quantize(b, b.emit(OP.nn.softmax(x, -1)), 1 / 127, 0), {"x": real(2, 3, 5, 37)}),
    "long softmax": (lambda b, x: _quantize(b, b.emit(OP.nn.softmax(x, -1)), 1 / 127, 0), {"x": real(3, 1050)}),
}


@pytest.fixture(scope="module")
def operators():
    return emulated(CASES)


@pytest.mark.parametrize("name", CASES)
def test_one_launch_with_the_referees_bytes(operators, name):
    machine, found = operators
    kernels = [step.kernel for step in found[name][0].steps]
    assert [kernel for kernel in kernels if kernel not in ("move", "copy")] == [
        "softmax_rows" if "softmax" in name else "layer_norm_rows"
    ]
    assert not differences(machine, *found[name], CASES[name][1], seeds=(0, 2))
