"""octet.table behind a convolution or linear layer: one kernel where the processor permutes bytes, the same bytes as
the referee; and where it stays apart."""

import sys
from pathlib import Path

import numpy as np
import pytest
from tvm import relax

from octet.passes import ops
from octet.passes.lower.cpu.fused import able
from octet.passes.lower.fusion import TableBehind, find_fusions
from octet.passes.referee.reference import run
from octet.targets import registry

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from here import session_here
from rule_harness import build, dequantize, network, quantize, samples

AMX = registry.find("amx")
RNG = np.random.default_rng(3)
TABLE = RNG.permutation(256).astype("uint8").view("int8")


def layer(b, x, outs, kernel=1, stride=1, groups=1, residual=None, dense=False, **attrs):
    """An int8 layer of `outs` channels on the float x."""
    data = quantize(b, x)
    ins = int(x.ty.shape.values[-1 if dense else 1])
    shape = (outs, ins) if dense else (outs, ins // groups, kernel, kernel)
    weight, bias = RNG.integers(-127, 128, shape).astype("int8"), RNG.integers(-999, 999, outs).astype("int32")
    constants = [weight, bias, np.full(outs, 0.4 / np.sqrt(weight[0].size) / 30, "float32")]
    attrs = dict(data_zero_point=3, out_dtype="int8", out_zero_point=-7, clip_min=-101, clip_max=119) | attrs
    if not dense:
        attrs |= dict(strides=[stride] * 2, padding=[kernel // 2] * 4, dilation=[1, 1], groups=groups)
    if residual is not None:
        attrs |= dict(residual_zero_point=3, residual_multiplier=0.73)
    return b.emit(
        ops.call(
            "octet.dense" if dense else "octet.conv2d",
            [data, *map(relax.const, constants), *([quantize(b, residual)] if residual is not None else [])],
            **attrs,
        )
    )


def looked_up(b, value, table=TABLE):
    return b.emit(ops.call("octet.table", [value, relax.const(table)]))


CASES = {
    "tiles": ((1, 40, 9, 7), lambda b, x: layer(b, x, 70)),
    "tiles, woven": ((35, 80), lambda b, x: layer(b, x, 90, dense=True)),
    "vectors": ((1, 16, 8, 9), lambda b, x: layer(b, x, 40)),
    "vectors, 3 channels out": ((1, 16, 8, 9), lambda b, x: layer(b, x, 3, 3)),
    "one row": ((1, 96), lambda b, x: layer(b, x, 24, dense=True)),
    "residual": ((1, 64, 8, 9), lambda b, x: layer(b, x, 64, residual=x)),
    "depthwise, two vectors that overlap": ((1, 80, 9, 11), lambda b, x: layer(b, x, 80, 3, groups=80)),
    "depthwise, channels as tasks": ((1, 240, 9, 7), lambda b, x: layer(b, x, 240, 5, groups=240)),
    "depthwise, three channels": ((2, 3, 9, 11), lambda b, x: layer(b, x, 3, 5, 2, groups=3)),
    "depthwise, large": ((1, 32, 70, 130), lambda b, x: layer(b, x, 32, 3, groups=32)),
}


def compiled(shape, body, target="amx"):
    """(operators of the kernels, outputs, what the referee says)."""
    shapes = {"x": shape}
    module, inputs = network(shapes, body), samples(shapes)
    variant = build(module, inputs, target)
    outputs = session_here(variant).run(inputs)
    return (
        [step.operator for step in variant.steps],
        [outputs[spec.name] for spec in variant.outputs],
        run(module, inputs),
    )


@pytest.mark.parametrize("name", CASES)
def test_one_kernel_the_same_bytes(name):
    shape, body = CASES[name]
    steps, got, wanted = compiled(shape, lambda b, x: dequantize(b, looked_up(b, body(b, x))))
    assert "octet.table" not in steps and sum(" + table" in step for step in steps) == 1, steps
    np.testing.assert_array_equal(got[0], wanted[0])


def fused(shape, body, byte_permutations=True):
    return [
        chain
        for chain in find_fusions(network({"x": shape}, body)["main"], able(byte_permutations))[0].values()
        if isinstance(chain, TableBehind)
    ]


def test_before_and_after():
    """Before: layer, table. After: the chain holds both, and its result is the table's."""
    (chain,) = fused((1, 16, 8, 9), lambda b, x: dequantize(b, looked_up(b, layer(b, x, 8))))
    assert chain.layer.op.name == "octet.conv2d" and chain.root.ty.dtype == "int8"
    np.testing.assert_array_equal(chain.values, TABLE)


def two_readers(b, x):
    value = layer(b, x, 8)
    return [dequantize(b, looked_up(b, value)), dequantize(b, value)]


APART = {
    "another reader": two_readers,
    "a table per channel": lambda b, x: dequantize(b, looked_up(b, layer(b, x, 8), np.stack([TABLE] * 8))),
    "no layer in front": lambda b, x: dequantize(b, looked_up(b, quantize(b, x))),
    "a table behind a table": lambda b, x: dequantize(b, looked_up(b, looked_up(b, quantize(b, x)))),
}


@pytest.mark.parametrize("name", APART)
def test_does_not_apply(name):
    assert not fused((1, 16, 8, 9), APART[name])


def test_does_not_apply_without_byte_permutations():
    body = lambda b, x: dequantize(b, looked_up(b, layer(b, x, 8)))
    assert not fused((1, 16, 8, 9), body, byte_permutations=False)
    steps, got, wanted = compiled((1, 16, 8, 9), body, "avx512vnni")
    assert "octet.table" in steps
    np.testing.assert_array_equal(got[0], wanted[0])
