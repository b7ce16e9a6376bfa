"""A range of the outermost axis is read where it lies, without a kernel; equal kernels are built once."""

import sys
from pathlib import Path

import numpy as np
from tvm import relax

from octet.passes.referee.reference import run
from octet.targets.x86 import isa
from octet.targets.x86.kernel import built_once, emit_kernel
from octet.targets.x86.rows.recurrent import RecurrentProblem, recurrent

sys.path.insert(0, str(Path(__file__).parents[1] / "x86"))
from here import session_here
from rule_harness import build, network, samples

R = relax.op
SHAPES = {"x": (4, 3, 16)}


def _steps(body):
    """The operators that have kernels; the answers must be the referee's."""
    module, feed = network(SHAPES, body), samples(SHAPES)
    variant = build(module, feed)
    answers = session_here(variant).run(feed)
    for spec, wanted in zip(variant.outputs, run(module, feed), strict=True):
        np.testing.assert_array_equal(answers[spec.name], wanted)
    return [step.operator for step in variant.steps]


def _part(b, x, first, last, axis=0):
    return b.emit(R.strided_slice(x, [axis], [first], [last]))


def test_rows_of_what_a_kernel_wrote():
    def body(b, x):
        y = b.emit(R.nn.relu(x))
        parts = [b.emit(R.reshape(_part(b, y, i, i + 1), (3, 16))) for i in range(4)]
        return b.emit(R.add(b.emit(R.multiply(parts[0], parts[3])), b.emit(R.subtract(parts[1], parts[2]))))

    assert "relax.strided_slice" not in _steps(body)


def test_a_part_of_a_part():
    def body(b, x):
        y = b.emit(R.reshape(_part(b, _part(b, b.emit(R.nn.relu(x)), 1, 4), 1, 2), (3, 16)))
        return b.emit(R.nn.relu(_part(b, y, 1, 3)))

    assert "relax.strided_slice" not in _steps(body)


def test_a_result_and_one_with_parts():
    steps = _steps(
        lambda b, x: (lambda y: [y, _part(b, y, 2, 4), b.emit(R.nn.relu(_part(b, y, 1, 2)))])(b.emit(R.negative(x)))
    )
    assert "relax.strided_slice" not in steps


def test_what_does_not_lie_in_one_piece_has_a_kernel():
    def of(move):
        return "relax.strided_slice" in _steps(lambda b, x: b.emit(R.nn.relu(move(b, b.emit(R.negative(x))))))

    assert of(lambda b, y: _part(b, y, 1, 2, axis=1))
    assert of(lambda b, y: b.emit(R.strided_slice(y, [0], [0], [4], [2])))


def test_equal_problems_for_one_vector_unit_are_one_kernel():
    with isa.building_for("vnni"):
        first = recurrent(RecurrentProblem("octet.lstm_state", 2, 16))
        assert recurrent(RecurrentProblem("octet.lstm_state", 2, 16)) is first
        assert recurrent(RecurrentProblem("octet.lstm_state", 3, 16)) is not first
    with isa.building_for("madd256"):
        assert recurrent(RecurrentProblem("octet.lstm_state", 2, 16)) is not first


def test_options_tell_kernels_apart():
    build_one = built_once(lambda name, twice=False: emit_kernel(name * (2 if twice else 1), lambda: None))
    with isa.building_for("vnni"):
        assert build_one("a") is build_one("a") and build_one("a") is not build_one("a", twice=True)
