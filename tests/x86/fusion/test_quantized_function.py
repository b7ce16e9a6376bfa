"""The two bytes of a float tensor, computed where they are quantised: one kernel between packed tensors of many
channels, two elsewhere, the referee's bytes in both."""

import sys
from pathlib import Path

import numpy as np
import pytest
from tvm import relax

from octet.passes import ops
from octet.passes.referee.reference import run

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from here import session_here  # noqa: E402
from rule_harness import build, dequantize, network, samples  # noqa: E402

STEP, LOW = 2.0**-4, -3.0
PARTS = {
    "coarse": ({"step": STEP, "low": LOW}, STEP, -128 - int(LOW / STEP)),
    "remainder": ({"step": STEP}, STEP / 255, 0),
}


def part_of(b, x, kind):
    attrs, scale, zero_point = PARTS[kind]
    part = b.emit(ops.call("octet.unary", [x], kind=kind, **attrs))
    return b.emit(
        relax.op.quantize(
            part, relax.const(np.float32(scale)), relax.const(np.int8(zero_point)), axis=-1, out_dtype="int8"
        )
    )


def compiled(shapes, body, target):
    """(operators of the kernels, outputs, what the referee says)."""
    module, inputs = network(shapes, body), samples(shapes)
    variant = build(module, inputs, target)
    outputs = session_here(variant).run(inputs)
    return (
        [step.operator for step in variant.steps],
        [outputs[spec.name] for spec in variant.outputs],
        run(module, inputs),
    )


@pytest.mark.parametrize("target", ["x86-64-v3", "x86-64-v4", "amx"])
def test_the_same_bytes(target):
    wide, narrow = {"a": (1, 7, 96), "b": (3, 130), "c": (1, 70, 5, 3)}, {"d": (5, 48), "e": (1, 3, 9, 7)}

    def body(b, *tensors):
        packed = [
            b.emit(ops.call("octet.unary", [x], kind="gelu")) for x in tensors
        ]  # An elementwise kernel leaves them so.
        return [dequantize(b, part_of(b, x, kind), *PARTS[kind][1:]) for x in packed for kind in PARTS]

    steps, got, wanted = compiled(wide | narrow, body, target)
    for found, expected in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert steps.count("relax.quantize") == len(got) and steps.count("octet.unary") == len(wide | narrow) + len(
        PARTS
    ) * len(narrow), steps


def test_a_float_that_others_read_is_stored():
    def body(b, x):
        part = b.emit(ops.call("octet.unary", [x], kind="remainder", step=STEP))
        codes = b.emit(
            relax.op.quantize(
                part, relax.const(np.float32(STEP / 255)), relax.const(np.int8(0)), axis=-1, out_dtype="int8"
            )
        )
        return b.emit(relax.op.add(part, dequantize(b, codes, STEP / 255, 0)))

    steps, got, wanted = compiled({"x": (2, 96)}, body, "x86-64-v3")
    np.testing.assert_array_equal(got[0], wanted[0])
    assert steps.count("octet.unary") == 1
