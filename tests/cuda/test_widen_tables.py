"""What a GPU looks up: float32 rows of the same bytes."""

import numpy as np
from cuda_harness import function
from tvm import relax

from octet.passes import ops
from octet.passes.lower.cuda.widen_tables import WidenTables

CODES, SCALES = (
    np.random.default_rng(0).integers(-127, 128, (9, 5)).astype("int8"),
    np.linspace(0.1, 1, 9, dtype="float32"),
)
PLACES = np.zeros((2, 3), "int64")


def rows(b, i):
    return b.emit(relax.op.take(relax.const(CODES.astype("float32") * SCALES[:, None]), i, 0, mode="clip"))


def test_before_and_expected(becomes):
    before = function(
        lambda b, i: b.emit(ops.call("octet.embedding", [relax.const(CODES), relax.const(SCALES), i])), i=PLACES
    )
    becomes(WidenTables(), before, function(rows, i=PLACES))


def test_does_not_apply_without_such_a_look_up(unchanged):
    unchanged(WidenTables(), function(rows, i=PLACES))
