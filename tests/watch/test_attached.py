"""What a watched program calls beside its kernels: before and after, and where there is nothing to watch."""

import numpy as np
import pytest
from tvm import relax

from octet.passes.lower.watch.counted_clips import CountedBytes
from octet.passes.lower.watch.watch import RawCall, Watch
from octet.targets.x86.checks.coefficients import LayerSum, byte_sum

X, A, B, Y, LEFT = ("input", 0), ("buffer", 0), ("buffer", 1), ("buffer", 2), ("buffer", 3)
SIZES = {A: 256, B: 256, Y: 256, LEFT: 64}
CALLS = [RawCall("quantize", [X, A], "q"), RawCall("pool", [A, B], "p"), RawCall("pool", [B, Y], "p2")]


def attached(watch, calls, outputs=(Y,)):
    """[(what is called, its storages, whether it joins the step before)], constants as "constant"."""
    sizes = dict(SIZES)
    made = watch.attached(calls, sizes, list(outputs))
    names = {
        name: str(func.attrs["octet.kernel"]) + ":" + ("compare" if int(func.params[-1].shape[0]) == 1 else "sum")
        for name, func in watch.functions.items()
    }
    return [
        (
            names.get(call.function, call.function),
            [each if isinstance(each, tuple) else "constant" for each in call.operands],
            call.joined,
        )
        for call in made
    ]


def test_a_tensor_that_kernels_read_is_summed_behind_its_writer_and_behind_its_last_reader():
    first, second, third, fourth = (("buffer", number) for number in range(4, 8))
    table = ["constant"] * 3
    assert attached(Watch("vnni", True, False), CALLS) == [
        ("quantize", [X, A], False),
        ("watch:sum", [A, *table, first], True),
        ("pool", [A, B], False),
        ("watch:sum", [A, *table, second], True),
        ("watch:compare", [second, first, ("word", 0)], True),
        ("watch:sum", [B, *table, third], True),
        ("pool", [B, Y], False),
        ("watch:sum", [B, *table, fourth], True),
        ("watch:compare", [fourth, third, ("word", 1)], True),
    ]


@pytest.mark.parametrize("covered", [True, False])
def test_a_layer_is_compared_with_its_input_as_that_was_written(covered):
    calls = [CALLS[0], RawCall("conv", [A, relax.const(np.ones(64, np.int8)), Y, LEFT], "c", 2)]
    watch = Watch("vnni", True, False)
    watch.note("conv", "c", LayerSum(np.ones(16, np.int32), byte_sum(256), 7, covered, covered))
    right, table = ("buffer", 4), ["constant"] * 3
    expected = [
        ("quantize", [X, A], False),
        ("watch:sum", [A, *table, right], True),
        ("conv", [A, "constant", Y, LEFT], False),
        ("watch:compare", [LEFT, right, ("word", 0)], True),
    ]
    guard = [
        ("watch:sum", [A, *table, ("buffer", 6)], True),
        ("watch:compare", [("buffer", 6), ("buffer", 5), ("word", 1)], True),
    ]
    if not covered:
        expected = [*expected[:2], ("watch:sum", [A, *table, ("buffer", 5)], True), *expected[2:], *guard]
    assert attached(watch, calls) == expected
    assert [(check.kind, check.layer) for check in watch.checks] == [("sums", "c")] + [("bytes", "q")] * (not covered)


def test_constants_are_compared_behind_every_kernel_that_reads_them():
    calls = [RawCall("scale", [X, relax.const(np.arange(16, dtype=np.float32)), Y], "s")]
    sums, table = ("buffer", 4), ["constant"] * 3
    assert attached(Watch("vnni", True, False), calls) == [
        ("scale", [X, "constant", Y], False),
        ("watch:sum", ["constant", *table, sums], True),
        ("watch:compare", [sums, ("word", 0)], True),
    ]


def test_clipped_values_are_counted_and_an_input_is_looked_at():
    watch = Watch("vnni", False, True)
    watch.note_ends("quantize", "q", CountedBytes(256, 3, 4, 255, True))
    watch.note_ends("pool", "p", CountedBytes(256, 16, 16, 255, False))
    assert attached(watch, CALLS) == [
        ("quantize", [X, A], False),
        ("watch:sum", [A, "constant", ("clip", 0)], True),
        ("watch:sum", [A, "constant", ("moments", 0)], True),
        ("pool", [A, B], False),
        ("watch:compare", [B, "constant", ("clip", 2)], True),  # Its result is one word.
        ("pool", [B, Y], False),
    ]
    assert [(clip.layer, clip.end) for clip in watch.counts] == [("q", "high"), ("q", "low"), ("p", "high")]
    assert [(one.layer, one.values) for one in watch.inputs] == [("q", (64, 64, 64))]


def test_nothing_is_watched_that_is_the_callers_or_that_nobody_asked_for():
    assert attached(Watch("vnni", True, False), CALLS[:1], outputs=(A,)) == [
        ("quantize", [X, A], False)
    ]  # It is a result, and nobody reads it here.
    watch = Watch("vnni", False, True)
    assert attached(watch, CALLS) == [(call.function, call.operands, False) for call in CALLS]  # Nothing rounds.
    assert not watch.functions and not watch.checks and not watch.counts
