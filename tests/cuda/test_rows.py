"""Softmax and layer normalisation with the quantize and dequantize around them: one launch, and the referee's bytes."""

import numpy as np
import pytest
from cuda_harness import codes, constant, differences, emulated
from tvm import relax

from octet.targets import float_math
from octet.targets.cuda.emulator import Emulator
from octet.targets.cuda.kernels import functions
from octet.targets.cuda.kernels.attention import AttentionProblem, Block, attention
from octet.targets.cuda.kernels.conv import Epilogue, Views
from octet.targets.float_ops import NumpyOps

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


def _guarded(b, p):
    return b.emit(OP.where(b.emit(OP.isnan(p)), relax.const(np.float32(0)), p))


def _with_empty_rows(x):
    x[..., ::2, :] = -np.inf
    return x


CASES = {
    "both": (lambda b, x: _norm(b, x, 70, True, True), {"x": codes(RNG, 2, 9, 70)}),
    "source": (lambda b, x: _norm(b, x, 48, True, False), {"x": codes(RNG, 19, 48)}),
    "target": (lambda b, x: _norm(b, x, 1100, False, True), {"x": real(1, 3, 1100)}),
    "rows of several blocks": (lambda b, x: _norm(b, x, 64, True, True), {"x": codes(RNG, 4 * 128 + 3, 64)}),
    "eight lanes": (lambda b, x: _norm(b, x, 48, True, True), {"x": codes(RNG, 6 * 512 + 1, 48)}),
    "four lanes": (lambda b, x: _norm(b, x, 32, True, True), {"x": codes(RNG, 12 * 512 + 3, 32)}),
    "four lanes, float": (lambda b, x: _norm(b, x, 16, False, False), {"x": real(12 * 512 + 3, 16)}),
    "rows of a block": (
        lambda b, x: _norm(b, x, 1540, True, True),
        {"x": codes(RNG, 2 * 128 + 1, 1540)},
    ),  # A block takes two long rows side by side, the last one only one.
    "beyond shared memory": (lambda b, x: _norm(b, x, 12400, True, True), {"x": codes(RNG, 2, 12400)}),
    "neither": (lambda b, x: _norm(b, x, 33, False, False), {"x": real(5, 33)}),
    "rms": (lambda b, x: _norm(b, x, 70, True, True, rms=True), {"x": codes(RNG, 2, 9, 70)}),
    "rms beyond shared memory": (lambda b, x: _norm(b, x, 12400, False, False, rms=True), {"x": real(2, 12400)}),
    "softmax": (lambda b, x: _quantize(b, b.emit(OP.nn.softmax(x, -1)), 1 / 127, 0), {"x": real(2, 3, 5, 37)}),
    "long softmax": (lambda b, x: _quantize(b, b.emit(OP.nn.softmax(x, -1)), 1 / 127, 0), {"x": real(3, 1050)}),
    "softmax of rows that may be empty": (
        lambda b, x: _quantize(b, _guarded(b, b.emit(OP.nn.softmax(x, -1))), 1 / 255, -128),
        {"x": _with_empty_rows(real(2, 3, 5, 37))},
    ),
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


def _on_emulator(text, *operands):
    """The result, as many words as the first operand has, of a kernel `f` of an element per thread."""
    names = ", ".join(f"const void* a{i}" for i in range(len(operands)))
    loads = ", ".join(f"static_cast<const float*>(a{i})[i]" for i in range(len(operands)))
    kernel = f"""#include "attention.cuh"
using namespace octet;
{text}
extern "C" __global__ void each({names}, void* y) {{
  int i = blockIdx.x * 128 + threadIdx.x;
  static_cast<unsigned*>(y)[i] = f({loads});
}}
"""
    machine = Emulator(kernel, {"each": len(operands) + 1})
    buffers = [machine.buffer(array) for array in (*operands, np.zeros(operands[0].size, np.uint32))]
    machine.launch("each", (operands[0].size // 128, 1, 1), 128, 0, [buffer.address for buffer in buffers], 0)
    return buffers[-1].array.view(np.uint32)[: operands[0].size].copy()


def test_the_exponential_of_softmax_is_exp_to_the_bit():
    low = np.float32(float_math.EXP_LOWEST).view(np.uint32)
    steps = np.arange(-127, 1, dtype=np.float32) * np.float32(np.log(2) / 2)
    x = np.concatenate(
        [
            -RNG.random(64 * 128).astype(np.float32) * np.float32(90),
            -np.exp2(RNG.uniform(-40, 7, 64 * 128)).astype(np.float32),
            np.arange(low - 128, low + 128).astype(np.uint32).view(np.float32),
            *(np.nextafter(steps, np.float32(-100)), steps),
            np.array([0.0, -0.0, -np.inf, -1e30] * 32, np.float32),
        ]
    )
    name, text = functions.softmax_exponential()
    found = _on_emulator(f"{text}\nOCTET_DEVICE unsigned f(float x) {{ return bits_of({name}(x)); }}", x)
    assert (found == float_math.exp(NumpyOps, x).view(np.uint32)).all()


@pytest.mark.parametrize("step, zero_point", [(1 / 255, -128), (1 / 127, 0), (1 / 511, -128), (0.0049, 0)])
def test_codes_of_probabilities_are_those_of_two_divisions(step, zero_point):
    """Near every step from one code to the next, too."""
    total = np.float32(1) + RNG.random(512 * 128).astype(np.float32) * np.repeat(
        np.float32([1, 30, 1000, 1e-4]), 128 * 128
    )
    bound = (RNG.integers(0, 256, total.size) + 0.5).astype(np.float32) * np.float32(step) * total
    power = np.where(RNG.random(total.size) < 0.3, RNG.random(total.size).astype(np.float32), bound)
    power = np.nextafter(power, np.repeat(np.float32([0, 2]), total.size // 2)).astype(np.float32).clip(0, 1)
    problem = AttentionProblem(16, 32, 32, 32, 1, 32, 32, (1.0, 1.0), None, None, (step, zero_point))
    views, epilogue = Views(1, 0, 0, 0, 0, 0, 0, 32), Epilogue(False, 0, -128, 127, 0.0, 0.0, False, 0, 0.0)
    instance = attention(problem, Block(1, 1), views, views, epilogue, 1).call.split("<")[1].split(", Views")[0]
    divided = "high = quotient(1.0f, total), low = low_of(total, high)"
    function_text = f"float {divided}; return probability_code<{instance}>(power, total, high, low) & 0xff;"
    found = _on_emulator(f"OCTET_DEVICE unsigned f(float power, float total) {{ {function_text} }}", power, total)
    codes_wanted = np.rint(power / total / np.float32(step)).clip(0, 127 - zero_point)
    assert (found == codes_wanted.astype(np.uint32)).all()
