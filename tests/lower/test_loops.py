"""A loop over the steps of a recurrent layer gives what its steps give one behind the other, and costs a compilation
what one step costs."""

import sys
from pathlib import Path

import numpy as np
import pytest
from tvm import relax

from octet.passes import ops
from octet.passes.realize.promise import promises
from octet.passes.referee.reference import run
from octet.passes.rewriting.loops import MARKS, RecurrentLoop, loops_of
from octet.passes.rewriting.unroll_loops import UnrollLoops
from octet.targets.errors import UnsupportedModelError

sys.path.insert(0, str(Path(__file__).parents[1] / "x86"))
from here import session_here
from rule_harness import build, network, samples

STEPS, ROWS, WIDTH = 5, 2, 20
SHAPES = {"x": (STEPS, ROWS, WIDTH), "start": (ROWS, WIDTH), "gain": (ROWS, WIDTH)}
WEIGHT = np.random.default_rng(0).standard_normal((WIDTH, WIDTH)).astype("float32") / 4
R = relax.op


def recurrent(steps=STEPS, reverse=0, more=lambda b, body: []):
    """(h, sum of all h) = (tanh(x[t] * gain + W h), sum + h); returns what is stacked, both states at the end, and
    `more`."""

    def body(b, x, start, gain):
        before = b.emit(R.abs(gain))
        t = b.emit(ops.call("octet.loop_index", [], steps=steps, reverse=reverse))
        part = b.emit(ops.call("octet.loop_slice", [x, t]))
        h, total = (
            b.emit(ops.call("octet.loop_state", [value, t], index=i)) for i, value in enumerate((start, before))
        )
        product = b.emit(
            ops.call(
                "octet.dense",
                [h, relax.const(WEIGHT), relax.const(np.zeros(WIDTH, "float32"))],
                clip_min=float("-inf"),
                clip_max=float("inf"),
                out_dtype="float32",
            )
        )
        sums = b.emit(R.add(b.emit(R.multiply(part, before)), product))
        new = [b.emit(ops.call("octet.unary", [sums], kind="tanh"))]
        new.append(b.emit(R.add(total, new[0])))
        results = [b.emit(ops.call("octet.loop_stack", [value, t, *new], steps=steps)) for value in (new[0], h)]
        last = [b.emit(ops.call("octet.loop_last", [value, t, *new])) for value in new]
        return [*results, *last, b.emit(R.multiply(before, gain)), *more(b, {"sums": sums, "h": h})]

    shapes = SHAPES | {"x": (steps, ROWS, WIDTH)}
    return network(shapes, body), samples(shapes)


def outputs(module, feed):
    variant = build(module, feed)
    found = session_here(variant).run(feed)
    return [found[spec.name] for spec in variant.outputs]


@pytest.mark.parametrize("reverse", [0, 1])
def test_a_loop_is_its_steps(reverse):
    module, feed = recurrent(reverse=reverse)
    unrolled = UnrollLoops("a test")(module)
    assert not any(ops.is_op(binding.value, *MARKS) for binding in unrolled["main"].body.blocks[0].bindings)
    wanted = outputs(unrolled, feed)
    for actual, exact, referee in zip(outputs(module, feed), wanted, run(module, feed), strict=True):
        np.testing.assert_array_equal(actual, exact)
        np.testing.assert_allclose(referee, exact, rtol=1e-5, atol=1e-6)
    for actual, exact in zip(run(unrolled, feed), run(module, feed), strict=True):
        np.testing.assert_array_equal(actual, exact)


def test_what_is_read_behind_a_loop_is_of_the_last_step():
    module, feed = recurrent(more=lambda b, body: [b.emit(R.negative(body["sums"])), b.emit(R.negative(body["h"]))])
    states, *_, sums, h = outputs(module, feed)
    np.testing.assert_array_equal(h, -states[-2])
    np.testing.assert_allclose(np.tanh(-sums), states[-1], rtol=1e-5, atol=1e-6)


def test_what_does_not_depend_on_the_index_runs_once():
    module, _ = recurrent()
    order = loops_of(module).arranged()
    (loop,) = [each for each in order if isinstance(each, RecurrentLoop)]
    assert [
        ops.is_op(value, "relax.abs") for _, value in order[: order.index(loop)] if isinstance(value, relax.Call)
    ] == [True]
    assert {var.name for var, _ in loop.body}.isdisjoint(
        each[0].name for each in order if not isinstance(each, RecurrentLoop)
    )
    assert loops_of(network(SHAPES, lambda b, x, start, gain: R.abs(x))).arranged() and not loops_of(
        network(SHAPES, lambda b, x, start, gain: R.abs(x))
    )


def test_unrolled_two_steps(becomes, unchanged):
    def before(b, x, start):
        t = b.emit(ops.call("octet.loop_index", [], steps=2, reverse=0))
        part, h = (
            b.emit(ops.call("octet.loop_slice", [x, t])),
            b.emit(ops.call("octet.loop_state", [start, t], index=0)),
        )
        new = b.emit(R.add(part, h))
        return ops.call("octet.loop_stack", [new, t, new], steps=2)

    def expected(b, x, start):
        h, rows = start, []
        for t in range(2):
            part = b.emit(R.reshape(b.emit(R.strided_slice(x, [0], [t], [t + 1])), [3, 4]))
            rows.append(h := b.emit(R.add(part, h)))
        return R.concat([b.emit(R.reshape(row, [1, 3, 4])) for row in rows], axis=0)

    shapes = {"x": (2, 3, 4), "start": (3, 4)}
    becomes(UnrollLoops("a test"), network(shapes, before), network(shapes, expected))
    unchanged(UnrollLoops("a test"), network(shapes, lambda b, x, start: R.abs(x)))


def test_code_does_not_grow_with_the_steps():
    few, many = (build(*recurrent(steps)) for steps in (5, 500))
    assert [step.operator for step in few.steps] == [step.operator for step in many.steps]
    ((first, last, count),) = many.loops
    assert count == 500 and 0 < first < last <= len(many.steps)
    assert sum(step.macs for step in many.steps) == 100 * sum(step.macs for step in few.steps)


def test_what_a_step_leaves_is_promised_as_what_the_next_one_finds():
    module, _ = recurrent()
    assert [promise.kind for promise in promises(module)] == ["close"] * 4 + [
        "bytes"
    ]  # The body has a float product, and h of the step before.


def test_too_many_steps_for_what_knows_no_loops():
    module, _ = recurrent(1001)
    with pytest.raises(
        UnsupportedModelError, match="an ONNX file takes 1000 steps of a recurrent layer at most, not 1001"
    ):
        UnrollLoops("an ONNX file")(module)
