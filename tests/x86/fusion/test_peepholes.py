"""What an LSTM's gates see of the cell is computed with the step that reads it: one kernel, the referee's bytes."""

import sys
from pathlib import Path

import numpy as np
import pytest
from tvm import relax

from octet.passes import ops
from octet.passes.referee.reference import run

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from here import session_here  # noqa: E402
from rule_harness import build, network, samples  # noqa: E402

HIDDEN = 19
SHAPES = {"x": (2, 4 * HIDDEN), "r": (2, 4 * HIDDEN), "c": (2, HIDDEN), "d": (2, HIDDEN)}
WEIGHTS = np.random.default_rng(1).standard_normal((1, 4 * HIDDEN)).astype("float32")


def seen(b, x, cell):
    cells = b.emit(relax.op.concat([cell] * 4, axis=1))
    return b.emit(relax.op.add(x, b.emit(relax.op.multiply(cells, relax.const(WEIGHTS)))))


def compiled(body, target):
    """(operators of the kernels, outputs, the referee's)."""
    module, inputs = network(SHAPES, body), samples(SHAPES)
    variant = build(module, inputs, target)
    outputs = session_here(variant).run(inputs)
    return [step.operator for step in variant.steps], [outputs[s.name] for s in variant.outputs], run(module, inputs)


@pytest.mark.parametrize("target", ["x86-64-v3", "x86-64-v4"])
def test_one_kernel_and_the_same_bytes(target):
    def body(b, x, r, c, d):
        state = b.emit(ops.call("octet.lstm_state", [seen(b, x, c), r, c]))
        return [b.emit(ops.call("octet.lstm_output", [seen(b, x, state), r, state]))]

    steps, got, wanted = compiled(body, target)
    np.testing.assert_array_equal(got[0], wanted[0])
    assert [s for s in steps if s.startswith("octet.")] == ["octet.lstm_state", "octet.lstm_output"]
    assert "relax.multiply" not in steps and "relax.concat" not in steps


def test_another_cell_or_a_second_reader_is_none():
    def body(b, x, r, c, d):
        twice = seen(b, x, c)
        return [
            b.emit(ops.call("octet.lstm_state", [seen(b, x, d), r, c])),
            b.emit(ops.call("octet.lstm_state", [twice, r, c])),
            twice,
        ]

    steps, got, wanted = compiled(body, "x86-64-v3")
    for found, expected in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert steps.count("relax.multiply") == 2
