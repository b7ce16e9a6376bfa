"""Results of a batch that do not begin with the samples: a chunk hands over one piece of the caller's tensor, so such a
result is computed for the whole batch."""

import numpy as np
import pytest
from tvm import relax

import octet.passes  # noqa: F401 - registers the operators
from octet.passes.lower.batch.pieces import split_batch
from octet.passes.lower.batch.stretches import plan_stretches
from octet.passes.lower.build import build_variant
from octet.passes.referee.reference import run
from octet.targets import detect
from octet.targets.runtime import Session
from octet.targets.variant import TensorSpec

R = relax.op
BATCH = 4
RESULTS = {
    "time first": lambda e, y: [e(R.permute_dims(y, [1, 0, 2]))],
    "reversed": lambda e, y: [e(R.permute_dims(y))],
    "stacked in front": lambda e, y: [e(R.concat([e(R.expand_dims(each, 0)) for each in (y, e(R.negative(y)))], 0))],
    "expanded in front": lambda e, y: [e(R.broadcast_to(y, (3, *[int(d) for d in y.ty.shape.values])))],
    "and one with the samples first": lambda e, y: [e(R.permute_dims(y, [2, 1, 0])), e(R.exp(y)), y],
    "read again behind": lambda e, y: [
        t := e(R.permute_dims(y, [1, 0, 2])),
        e(R.exp(e(R.permute_dims(e(R.negative(t)), [1, 0, 2])))),
    ],
    "a view of it": lambda e, y: [e(R.reshape(e(R.permute_dims(y, [1, 0, 2])), [5 * BATCH, 6]))],
    "tuple": lambda e, y: [e(relax.TupleGetItem(e(R.split(e(R.permute_dims(y, [1, 0, 2])), [2], 0)), 1))],
}


def network(case):
    builder, x = relax.BlockBuilder(), relax.Var("x", relax.TensorType([BATCH, 5, 6], "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            y = builder.emit(R.nn.relu(builder.emit(R.tanh(x))))
            result = builder.emit_output(relax.Tuple(RESULTS[case](builder.emit, y)))
        builder.emit_func_output(result)
    return builder.get()


def small_cache(found):
    """A plan for a cache so small that every stretch that may run in parts does."""
    return plan_stretches(found, l2=64)


@pytest.mark.parametrize("case", RESULTS)
def test_every_result_equals_the_referee(case):
    module, x = network(case), np.random.default_rng(0).standard_normal((BATCH, 5, 6)).astype("float32")
    wanted = run(module, {"x": x})
    outs = tuple(TensorSpec(f"out{i}", each.shape, "float32") for i, each in enumerate(wanted))
    for choose in (plan_stretches, small_cache):
        variant = build_variant(module, detect.native(), (TensorSpec("x", x.shape, "float32"),), outs, choose=choose)
        got = Session(variant, 1).run({"x": x})
        for spec, each in zip(outs, wanted):
            np.testing.assert_array_equal(got[spec.name], each)


def test_what_lies_in_front_of_such_a_result_still_runs_in_parts():
    """The first layer runs for a sample at a time, what the transpose needs waits for all of them."""
    builder, x = relax.BlockBuilder(), relax.Var("x", relax.TensorType([BATCH, 256, 256], "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            y = builder.emit(R.exp(builder.emit(R.exp(builder.emit(R.exp(x))))))
            result = builder.emit_output(relax.Tuple([builder.emit(R.permute_dims(y, [1, 0, 2]))]))
        builder.emit_func_output(result)
    assert [piece.samples for piece in split_batch(builder.get(), lambda found: plan_stretches(found, l2=1 << 20))] == [
        1,
        BATCH,
    ]
