"""octet.add, octet.mul, octet.requantize, octet.table, the float elementwise operators and the steps of LSTM and GRU
through lowering, against the referee."""

import sys
from pathlib import Path

import numpy as np
import pytest
from tvm import relax

from octet.passes import ops, unary as kinds
from octet.passes.lower.cpu import rules_recurrent
from octet.targets import float_math
from octet.targets.recurrent_math import STEPS
from octet.targets.x86.elementwise.table_affine import lines_of

sys.path.insert(0, str(Path(__file__).parent))
from rule_harness import check, check_all, dequantize, quantize

ADD = {
    "a_zero_point": 3,
    "b_zero_point": -4,
    "a_multiplier": 0.7,
    "b_multiplier": 1.1,
    "out_zero_point": 5,
    "clip_min": -120,
    "clip_max": 101,
}
MUL = {
    "a_zero_point": 3,
    "b_zero_point": -4,
    "multiplier": 0.02,
    "out_zero_point": 5,
    "clip_min": -120,
    "clip_max": 101,
}
SHAPES = [
    ((1, 37, 5, 6), (1, 37, 5, 6)),
    ((2, 37, 5, 6), (2, 37, 1, 1)),
    ((2, 130, 3, 4), (1, 130, 1, 1)),
    ((2, 1, 5, 6), (2, 37, 5, 6)),
    ((3, 1000), (1, 1000)),
    ((2, 5, 33), (2, 1, 33)),
    ((33,), (2, 5, 33)),
    ((2, 37, 1, 1), (1, 37, 3, 3)),
    ((1, 3, 4, 4), (4,)),
]


# One value per channel that repeats after whole vectors.
REPEATED = [
    ((2, 32, 5, 6), (2, 32, 1, 1)),
    ((1, 144, 34, 6), (1, 144, 1, 1)),
    ((3, 64, 1, 5), (1, 64, 1, 1)),
    ((1, 4, 4, 4), (1, 4, 1, 1)),
]


@pytest.mark.parametrize("name, attrs", [("octet.add", ADD), ("octet.mul", MUL)])
def test_integer_binary(name, attrs):
    def body(builder, x, y):
        return dequantize(
            builder, builder.emit(ops.call(name, [quantize(builder, x), quantize(builder, y, zero_point=-4)], **attrs))
        )

    check_all({f"{a} {b}": ({"x": a, "y": b}, body) for a, b in SHAPES + REPEATED})


def test_integer_constant_operand_on_either_side():
    constant = relax.const((np.arange(37).reshape(1, 37, 1, 1) - 20).astype("int8"))
    for order in (1, -1):
        check(
            {"x": (2, 37, 3, 3)},
            lambda b, x: dequantize(b, b.emit(ops.call("octet.add", [quantize(b, x), constant][::order], **ADD))),
        )


@pytest.mark.parametrize("target", ["amx", "avx512vnni"])
def test_table_and_requantize(target):
    table = relax.const(np.random.default_rng(0).permutation(256).astype("uint8").view("int8"))
    attrs = {"data_zero_point": 3, "multiplier": 0.77, "out_zero_point": -3, "clip_min": -50, "clip_max": 60}

    def body(b, x):
        return dequantize(
            b, b.emit(ops.call("octet.requantize", [b.emit(ops.call("octet.table", [quantize(b, x), table]))], **attrs))
        )

    check_all({str(shape): ({"x": shape}, body) for shape in [(2, 37, 5, 6), (3, 1000), (1, 3, 5, 5)]}, target)


@pytest.mark.parametrize("target", ["amx", "avx512vnni", "x86-64-v3"])
def test_table_per_channel_of_lines(target):
    """A BatchNormalization and a ReLU of a quantised tensor."""
    rng, x, cases = np.random.default_rng(0), np.arange(-128, 128), {}
    for shape in [(2, 37, 5, 6), (1, 64, 9, 9), (3, 1000), (1, 208, 1, 3)]:
        real = (x - 3) * rng.normal(0, 1, (shape[1], 1)) * 0.02 + rng.normal(0, 1, (shape[1], 1))
        for low in (-np.inf, 0.0):
            table = np.clip(np.rint(np.maximum(real, low) / 0.013) - 100, -128, 127).astype("int8")
            lines = lines_of(table)
            np.testing.assert_array_equal(lines(), table.astype(int) + 128)
            cases[f"{shape} from {low}"] = (
                {"x": shape},
                lambda b, x, table=table: dequantize(
                    b, b.emit(ops.call("octet.table", [quantize(b, x), relax.const(table)]))
                ),
            )
    check_all(cases, target)


def test_what_is_no_line_stays_a_table():
    x, rng = np.arange(-128, 128), np.random.default_rng(0)
    step, still = np.where(x < 17, -128, 127), np.full(256, -5)
    assert lines_of(np.stack([step, still, -x - 1]).astype("int8")) is not None
    bent = np.clip(x + x * x // 900, -128, 127)
    assert lines_of(np.stack([step, bent]).astype("int8")) is None
    assert lines_of(rng.integers(-128, 128, (5, 256)).astype("int8")) is None


def test_table_per_channel():
    table = relax.const(np.random.default_rng(0).integers(-128, 128, (37, 256)).astype("int8"))
    check({"x": (2, 37, 5, 6)}, lambda b, x: dequantize(b, b.emit(ops.call("octet.table", [quantize(b, x), table]))))


def test_scalar_functions():
    """Exact where a fixed sequence defines the function; else within 2e-6 of the value computed in float64."""
    values = {"alpha": 0.3, "beta": 0.4, "gamma": 1.2, "exponent": 2.0, "step": 0.25, "low": -1.0}

    def body(kind):
        return lambda b, x: ops.call(
            "octet.unary", [x], kind=kind, **{name: values[name] for name in kinds.PARAMETERS.get(kind, ())}
        )

    check_all(
        {kind: ({"x": (2, 37, 5, 6)}, body(kind)) for kind in kinds.KINDS},
        tolerances={kind: 2e-6 for kind in kinds.KINDS if kind not in float_math.FUNCTIONS},
    )


def test_float_binary():
    def body(name):
        function = getattr(relax.op, name)
        return lambda b, x, y: [
            function(y, x),
            b.emit(function(x, y)),
            b.emit(function(x, relax.const(2.5, "float32"))),
        ]

    names = ["add", "subtract", "multiply", "divide", "maximum", "minimum"]
    check_all({name: ({"x": (2, 37, 3, 4), "y": (2, 37, 1, 1)}, body(name)) for name in names})


def test_clip_relu_prelu():
    slope = relax.const(np.random.default_rng(0).random(37, "float32"))
    check(
        {"x": (2, 37, 3, 4)},
        lambda b, x: [
            relax.op.clip(x, -0.5, 1.5),
            b.emit(relax.op.nn.relu(x)),
            b.emit(relax.op.nn.prelu(x, slope, axis=1)),
            b.emit(relax.op.nn.leakyrelu(x, 0.1)),
        ],
    )


def test_steps_of_recurrent_layers_on_rows_that_no_vector_fills():
    def case(kind, rows, hidden):
        gates = hidden * STEPS[kind][1]
        shapes = {"x": (rows, gates), "r": (rows, gates), "state": (rows, hidden)}
        return shapes, lambda b, *operands: ops.call(kind, list(operands))

    check_all(
        {
            f"{kind} {rows}x{hidden}": case(kind, rows, hidden)
            for kind in rules_recurrent.RULES
            for rows, hidden in ((1, 16), (3, 19))
        },
        target="x86-64-v3",
    )
