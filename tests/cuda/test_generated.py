"""Operators without a kernel of their own become kernels written from their TIR."""

import numpy as np
import pytest
from cuda_harness import SM80, codes, differences, emulated, emulator, function, nets
from tvm import relax, tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from octet.passes.lower.cuda.backend import CudaLowering
from octet.passes.lower.cuda.lowering import lower
from octet.passes.lower.cuda.rules import RULES
from octet.passes.referee import reference
from octet.targets.cuda.generated.cxx import Printer, Unsupported
from octet.targets.cuda.generated.kernels import generate
from octet.targets.errors import TargetError

RNG = np.random.default_rng(41)
OP = relax.op


def real(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def made(make):
    return lambda b, *args: b.emit(make(*args))


CASES = {
    "pad of float": (made(lambda a: OP.nn.pad(a, [1, 1, 0, 2], "constant", 2.0)), {"a": real(2, 7)}),
    "reflected borders": (
        made(lambda a: OP.nn.pad(a, [0, 0, 0, 0, 1, 1, 2, 2], "reflect")),
        {"a": codes(RNG, 1, 2, 4, 7)},
    ),
    "tile": (made(lambda a: OP.tile(a, (2, 1))), {"a": codes(RNG, 2, 7)}),
    "flip": (made(lambda a: OP.flip(a, 1)), {"a": codes(RNG, 2, 7, 3)}),
    "stack": (made(lambda a, b: OP.stack([a, b], 1)), {"a": real(2, 7), "b": real(2, 7)}),
    "broadcast_to": (made(lambda a: OP.broadcast_to(a, (3, 2, 7))), {"a": real(2, 7)}),
    "repeat": (made(lambda a: OP.repeat(a, 2, 1)), {"a": codes(RNG, 2, 7)}),
    "prelu": (made(lambda a: OP.nn.prelu(a, relax.const(real(7)), 1)), {"a": real(2, 7, 3, 4)}),
    "nearest": (
        made(
            lambda a: OP.image.resize2d(
                a,
                (7, 9),
                method="nearest_neighbor",
                coordinate_transformation_mode="half_pixel",
                rounding_method="round_prefer_floor",
            )
        ),
        {"a": codes(RNG, 1, 2, 3, 4)},
    ),
    "isnan": (made(OP.isnan), {"a": real(2, 7)}),
    "logical_or": (made(OP.logical_or), {"a": real(9) > 0, "b": real(9) > 0}),
    "take of all": (made(lambda a, i: OP.take(a, i)), {"a": real(9), "i": np.array([1, 2, 3])}),
}


@pytest.fixture(scope="module")
def operators():
    return emulated(CASES)


@pytest.mark.parametrize("name", CASES)
def test_same_bits(operators, name):
    machine, found = operators
    assert "generated" in {step.kernel for step in found[name][0].steps}
    assert not differences(machine, *found[name], CASES[name][1], seeds=(0, 1))


@pytest.mark.parametrize(
    "make, inputs",
    [
        (
            OP.matmul,
            {"a": real(2, 1, 5, 7), "b": real(1, 3, 7, 4)},
        ),  # Neither operand has the whole batch; the order of summation is free.
        (OP.power, {"a": np.abs(real(2, 7)), "b": real(2, 7)}),  # The referee is NumPy's own float32 function.
    ],
)
def test_close(make, inputs):
    module = function(made(make), **inputs)
    (net,) = nets([module])
    want = reference.run(module, inputs)[0]
    got = net.run(emulator([net]), inputs, 1)[0].view(np.float32)[: want.size].reshape(want.shape)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)  # They are sums of seven products of numbers near 1.


def test_a_chain_within_a_loop_is_run_by_one_thread():
    """y[i] = y[i - 1] + x[i]: iterations depend on one another, which only the block's variables say."""
    with IRBuilder() as builder:
        with T.prim_func(s_tir=True):
            T.func_name("main")
            x, y = (T.arg(name, T.Buffer((9,), "float32")) for name in "xy")
            with T.sblock("root"):
                with T.serial(0, 9) as i:
                    T.buffer_store(
                        y, tirx.if_then_else(i > 0, y[tirx.max(i - 1, 0)], tirx.const(0.0, "float32")) + x[i], [i]
                    )
    (nest,) = generate(builder.get(), "generated").nests
    assert "threadIdx.x != 0" in nest.kernel.prelude[-1] and nest.kernel.grid == (1, 1, 1)
    assert [buffer.name for buffer in (*nest.reads, *nest.writes)] == ["x", "y"]


def test_what_has_no_text_is_refused():
    with pytest.raises(Unsupported, match="an expression of kind Broadcast"):
        Printer().expr(tirx.Broadcast(tirx.const(1.0, "float32"), 4))


def test_what_tvm_cannot_legalise_is_named():
    module = function(made(lambda a: OP.nn.pixel_shuffle(a, 2)), a=real(1, 4, 2, 2))
    with pytest.raises(
        TargetError,
        match=r"target cuda-sm80: relax.nn.pixel_shuffle \(lv; float32\[1, 4, 2, 2\]\) "
        r"has no CUDA kernel: TVM cannot legalise it",
    ):
        lower(module, SM80, RULES)
    with pytest.raises(TargetError, match="relax.nn.pixel_shuffle"):
        CudaLowering().check(lambda: module, SM80)  # A compile asks this before it calibrates.
