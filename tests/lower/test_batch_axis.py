"""Where the samples of a batch lie behind each operator, and why some operators must see the whole batch."""

import numpy as np
import pytest
from tvm import relax

import octet.passes  # noqa: F401 - registers the operators
from octet.passes.lower.batch.analysis import analyze
from octet.passes.lower.batch.sample_axis import BatchAxis, Mixes, through_reshape

BATCH = 4


def analysed(body, *shapes, dtypes=()):
    builder = relax.BlockBuilder()
    params = [
        relax.Var(f"x{i}", relax.TensorType(list(shape), dtype))
        for i, (shape, dtype) in enumerate(zip(shapes, dtypes or ["float32"] * len(shapes)))
    ]
    with builder.function("main", params):
        with builder.dataflow():
            result = builder.emit_output(builder.emit(body(builder.emit, *params), "last"))
        builder.emit_func_output(result)
    return analyze(builder.get()["main"], BATCH)


def last(found):
    var = found.graph.bindings[-1][0]
    return found.axes[var], found.mixing.get(var)


def const(*shape):
    return relax.const(np.random.default_rng(0).standard_normal(shape).astype("float32"))


R = relax.op
APART = {
    "heads of an attention": (
        lambda e, x: R.permute_dims(e(R.reshape(x, [4, 6, 2, 4])), [0, 2, 1, 3]),
        [(4, 6, 8)],
        BatchAxis(0),
    ),
    "heads and samples on one axis": (
        lambda e, x: R.reshape(e(R.permute_dims(e(R.reshape(x, [4, 6, 2, 4])), [0, 2, 1, 3])), [8, 6, 4]),
        [(4, 6, 8)],
        BatchAxis(0, 2),
    ),
    "tokens and samples on one axis": (
        lambda e, x: R.matmul(e(R.reshape(x, [24, 8])), const(8, 3)),
        [(4, 6, 8)],
        BatchAxis(0, 6),
    ),
    "time first": (lambda e, x: R.nn.softmax(e(R.permute_dims(x, [1, 0, 2]))), [(4, 6, 8)], BatchAxis(1)),
    "scores": (lambda e, q, k: R.matmul(q, e(R.permute_dims(k, [0, 2, 1]))), [(4, 6, 8), (4, 6, 8)], BatchAxis(0)),
    "columns": (lambda e, x: R.matmul(const(5, 8), e(R.permute_dims(x, [1, 0]))), [(4, 8)], BatchAxis(1)),
    "a mean over pixels": (
        lambda e, x: R.mean(e(R.permute_dims(x, [1, 0, 2, 3])), [0, 2]),
        [(4, 3, 5, 5)],
        BatchAxis(0),
    ),
    "joined channels": (lambda e, x: R.concat([x, x], 1), [(4, 3, 5, 5)], BatchAxis(0)),
    "a constant that repeats": (
        lambda e, x: R.concat([relax.const(np.ones((4, 1, 8), "float32")), x], 1),
        [(4, 6, 8)],
        BatchAxis(0),
    ),
    "an embedding": (lambda e, x: R.take(const(9, 5), x, axis=0), [(4, 6)], BatchAxis(0)),
}
MIXING = {
    "softmax over the batch": (lambda e, x: R.nn.softmax(x, 0), [(4, 8)], "works along the batch"),
    "a mean over everything": (lambda e, x: R.mean(x), [(4, 8)], "reduces the batch"),
    "a product of samples": (lambda e, x: R.matmul(x, e(R.permute_dims(x, [1, 0]))), [(4, 8)], "sums over the batch"),
    "the samples backwards": (lambda e, x: R.flip(x, 0), [(4, 8)], "works along the batch"),
    "one of the samples": (lambda e, x: R.strided_slice(x, [0], [1], [2]), [(4, 8)], "takes some of the samples"),
    "a sample more": (lambda e, x: R.concat([x, const(1, 8)], 0), [(4, 8)], "joins along the batch"),
    "a constant per sample": (
        lambda e, x: R.add(x, const(4, 8)),
        [(4, 8)],
        "operand 1 has a part of its own for every sample",
    ),
    "samples on the other axis": (
        lambda e, x: R.add(x, e(R.permute_dims(x, [1, 0]))),
        [(4, 4)],
        "its operands hold the samples on different axes",
    ),
    "split samples": (
        lambda e, x: R.reshape(x, [2, 2, 3]),
        [(4, 3)],
        r"a reshape of \[4, 3\] to \[2, 2, 3\] splits samples",
    ),
    "an operator without a rule": (lambda e, x: R.einsum(relax.Tuple([x]), "ij->ij"), [(4, 8)], "has no rule"),
}


@pytest.mark.parametrize("case", APART)
def test_samples_stay_apart(case):
    body, shapes, wanted = APART[case]
    found = analysed(body, *shapes, dtypes=("int64",) if case == "an embedding" else ())
    assert last(found) == (wanted, None) and not found.mixing


@pytest.mark.parametrize("case", MIXING)
def test_why_an_operator_needs_the_whole_batch(case):
    import re

    body, shapes, reason = MIXING[case]
    assert re.fullmatch(reason, last(analysed(body, *shapes))[1])


def test_the_constant_is_cut():
    (axes,) = analysed(*APART["a constant that repeats"][:1], (4, 6, 8)).sliced.values()
    assert axes == {0: BatchAxis(0)}


def test_behind_an_operator_that_mixes_the_batch_begins_anew():
    found = analysed(lambda e, x: R.nn.relu(e(R.nn.softmax(x, 0))), (4, 8))
    assert last(found) == (BatchAxis(0), None) and list(found.mixing.values()) == ["works along the batch"]


def test_reshapes():
    assert through_reshape(BatchAxis(1), (1, 4, 6), (1, 1, 8, 3), 4) == BatchAxis(2, 2)
    assert through_reshape(BatchAxis(0, 6), (24, 8), (4, 48), 4) == BatchAxis(0, 1)
    with pytest.raises(Mixes, match="splits samples"):
        through_reshape(BatchAxis(1), (2, 4, 3), (8, 3), 4)
