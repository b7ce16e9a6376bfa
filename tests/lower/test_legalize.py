"""Operators without a kernel where TVM's own code differs from ONNX: extremes of rows with NaN and infinities, their
places, and bits."""

import numpy as np
import pytest
import tvm
from tvm import relax

from octet.passes import ops
from octet.passes.lower.legalize import legalize

NAN, INF = np.nan, np.inf
ROWS = np.array([[1, 3, 3, -2], [-INF, -INF, -INF, -INF], [0, NAN, INF, NAN], [-5, -INF, 7, INF]], np.float32)


@pytest.fixture(scope="module")
def run():
    """run(x, *expressions of x): their values, all compiled at once."""

    def computed(x, *makers):
        builder, parameter = relax.BlockBuilder(), relax.Var("x", relax.TensorType(x.shape, str(x.dtype)))
        with builder.function("main", [parameter]):
            with builder.dataflow():
                results = [builder.emit(make(parameter)) for make in makers]
                output = builder.emit_output(relax.Tuple(results))
            builder.emit_func_output(output)
        machine = relax.VirtualMachine(tvm.compile(legalize(builder.get()), "llvm"), tvm.cpu())
        return [array.numpy() for array in machine["main"](tvm.runtime.tensor(x))]

    return computed


def test_extremes_are_those_of_numpy(run):
    largest, least, kept, place, first = run(
        ROWS,
        lambda x: relax.op.max(x, axis=[1]),
        lambda x: relax.op.min(x, axis=[-1]),
        lambda x: relax.op.max(x, axis=[0, 1], keepdims=True),
        lambda x: relax.op.argmax(x, axis=1),
        lambda x: relax.op.argmin(x, axis=1, keepdims=True),
    )
    np.testing.assert_array_equal(largest, ROWS.max(axis=1))
    np.testing.assert_array_equal(least, ROWS.min(axis=1))
    assert kept.shape == (1, 1) and np.isnan(kept).all()
    np.testing.assert_array_equal(place, ROWS.argmax(axis=1))  # The first of equals wins, and NaN before all.
    np.testing.assert_array_equal(first, ROWS.argmin(axis=1)[:, None])


def test_integers_reach_their_ends(run):
    ends = np.array([[-(2**31), -(2**31)], [2**31 - 1, 2**31 - 1]], np.int32)
    largest, place = run(ends, lambda x: relax.op.max(x, axis=[1]), lambda x: relax.op.argmin(x, axis=1))
    assert largest.tolist() == [-(2**31), 2**31 - 1] and place.tolist() == [0, 0]


def test_bits_stay_as_they_are(run):
    values = np.array([0.0, -0.0, 1.5, NAN, -INF], np.float32)
    (bits,) = run(values, lambda x: ops.call("octet.bits", [x]))
    np.testing.assert_array_equal(bits, values.view(np.int32))


def test_what_is_skipped_stays():
    builder, x = relax.BlockBuilder(), relax.Var("x", relax.TensorType((2, 2), "float32"))
    with builder.function("main", [x]):
        builder.emit_func_output(builder.emit(relax.op.max(relax.op.nn.relu(x), axis=[1])))
    text = legalize(builder.get(), ("relax.nn.relu",)).script()
    assert "R.nn.relu" in text and "R.max" not in text
