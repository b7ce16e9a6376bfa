"""Scalar functions under one name: RecognizeUnary, RecognizeSilu, RecognizeMish, RecognizeGelu."""

import math

import pytest
from tvm.relax import op

from octet.passes.canonicalize.recognize_gelu import RecognizeGelu
from octet.passes.canonicalize.recognize_mish import RecognizeMish
from octet.passes.canonicalize.recognize_silu import RecognizeSilu
from octet.passes.canonicalize.recognize_unary import RecognizeUnary

SHAPE = [(4, 8)]


@pytest.mark.parametrize("kind", ["sigmoid", "tanh", "exp", "erf", "abs"])
def test_relax_functions_become_octet_unary(build, becomes, kind):
    becomes(RecognizeUnary(), build(SHAPE, getattr(op, kind)), build(SHAPE, lambda x: build.unary(kind, x)))


def test_leaky_relu_keeps_its_slope(build, becomes):
    becomes(
        RecognizeUnary(),
        build(SHAPE, lambda x: op.nn.leakyrelu(x, 0.25)),
        build(SHAPE, lambda x: build.unary("leaky_relu", x, alpha=0.25)),
    )


def test_integers_stay(build, unchanged):
    unchanged(RecognizeUnary(), build(SHAPE, op.abs, dtype="int32"))


@pytest.mark.parametrize("swapped", [False, True])
def test_silu(build, becomes, swapped):
    def body(x):
        gate = build.unary("sigmoid", x)
        return op.multiply(gate, x) if swapped else op.multiply(x, gate)

    becomes(RecognizeSilu(), build(SHAPE, body), build(SHAPE, lambda x: build.unary("silu", x)))


def test_a_gate_of_another_value_is_not_silu(build, unchanged):
    unchanged(RecognizeSilu(), build(SHAPE * 2, lambda x, y: op.multiply(x, build.unary("sigmoid", y))))


def test_mish_from_its_parts(build, becomes):
    def body(x):
        softplus = build.unary("log", build.e(op.add(build.unary("exp", x), build.const(1))))
        return op.multiply(x, build.unary("tanh", softplus))

    becomes(RecognizeMish(), build(SHAPE, body), build(SHAPE, lambda x: build.unary("mish", x)))


def test_log_of_two_plus_exp_is_not_softplus(build, unchanged):
    unchanged(
        RecognizeMish(),
        build(SHAPE, lambda x: build.unary("log", build.e(op.add(build.unary("exp", x), build.const(2))))),
    )


def times(build, x, number):
    return build.e(op.multiply(x, build.const(number)))


def erf_gate(build, x, number=math.sqrt(0.5)):
    return build.e(op.add(build.unary("erf", times(build, x, number)), build.const(1)))


ERF_FORMS = {
    "x*gate*half": lambda b, x: times(b, b.e(op.multiply(x, erf_gate(b, x))), 0.5),
    "(x*half)*gate": lambda b, x: op.multiply(times(b, x, 0.5), erf_gate(b, x)),
    "gate*(x*half)": lambda b, x: op.multiply(erf_gate(b, x), times(b, x, 0.5)),
    "x*(gate*half)": lambda b, x: op.multiply(x, times(b, erf_gate(b, x), 0.5)),
}


@pytest.mark.parametrize("form", ERF_FORMS)
def test_gelu_in_every_order(build, preserves, becomes, form):
    before = build(SHAPE, lambda x: ERF_FORMS[form](build, x))
    preserves(RecognizeGelu(), before)
    becomes(RecognizeGelu(), before, build(SHAPE, lambda x: build.unary("gelu", x)))


def tanh_gate(build, x, inner):
    return build.e(op.add(build.unary("tanh", inner), build.const(1)))


def cubic(build, x):
    cube = build.e(op.multiply(build.e(op.multiply(x, x)), x))
    return build.e(op.add(x, times(build, cube, 0.044715)))


def product(build, x):
    square = build.e(op.multiply(x, x))
    return build.e(
        op.multiply(
            times(build, x, math.sqrt(2 / math.pi)), build.e(op.add(times(build, square, 0.044715), build.const(1)))
        )
    )


@pytest.mark.parametrize("spelling", ["cubic", "power", "product", "nested"])
def test_gelu_tanh(build, preserves, becomes, spelling):
    def body(x):
        if spelling == "product":
            inner = product(build, x)
        elif spelling == "nested":
            cube = build.e(op.multiply(x, build.e(op.multiply(x, times(build, x, 0.044715)))))
            inner = times(build, build.e(op.add(x, cube)), math.sqrt(2 / math.pi))
        elif spelling == "cubic":
            inner = times(build, cubic(build, x), math.sqrt(2 / math.pi))
        else:
            power = build.unary("power", x, exponent=3.0)
            inner = times(build, build.e(op.add(x, times(build, power, 0.044715))), math.sqrt(2 / math.pi))
        return op.multiply(times(build, x, 0.5), tanh_gate(build, x, inner))

    preserves(RecognizeGelu(), build(SHAPE, body))
    becomes(RecognizeGelu(), build(SHAPE, body), build(SHAPE, lambda x: build.unary("gelu_tanh", x)))


def test_another_constant_is_not_gelu(build, unchanged):
    unchanged(
        RecognizeGelu(), build(SHAPE, lambda x: times(build, build.e(op.multiply(x, erf_gate(build, x, 0.5))), 0.5))
    )
    unchanged(RecognizeGelu(), build(SHAPE, lambda x: times(build, build.e(op.multiply(x, erf_gate(build, x))), 0.7)))
