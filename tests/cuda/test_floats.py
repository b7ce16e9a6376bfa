"""float32 and index operators: the referee's bits, but for products of matrices, whose order of summation is free; and products of two int8 tensors."""

import numpy as np
import pytest
from cuda_harness import SM75, codes, differences, emulator, function, nets
from tvm import relax

from octet.passes import ops
from octet.passes.realize import reference
from octet.targets.cuda.kernels import functions

RNG = np.random.default_rng(21)


def real(*shape, scale=2.0):
    return (RNG.standard_normal(shape) * scale).astype(np.float32)


def made(make):
    return lambda b, *args: b.emit(make(*args))


def vector(values):
    return relax.const(np.asarray(values, np.float32))


def wrapped(b, a):
    """Negative indices, counted from the end of nine."""
    zero, nine = (relax.const(value, "int64") for value in (0, 9))
    return b.emit(relax.op.where(b.emit(relax.op.less(a, zero)), b.emit(relax.op.add(a, nine)), a))


def product(to_float):
    attrs = dict(multiplier=0.0007, out_dtype="float32" if to_float else "int8", clip_min=float("-inf") if to_float else -100, clip_max=float("inf") if to_float else 127)
    return lambda b, x, y: b.emit(ops.call("octet.matmul", [x, y], **attrs, **({} if to_float else {"out_zero_point": 4})))


BINARY = ("add", "subtract", "multiply", "divide", "maximum", "minimum")
KINDS = {"hard_sigmoid": {"alpha": 0.2, "beta": 0.5}, "leaky_relu": {"alpha": 0.1}, "elu": {"alpha": 0.7}, "gelu": {}, "gelu_tanh": {}, "mish": {}, "tanh": {}, "erf": {}}
CASES = {
    **{f"relax.{name}": (made(getattr(relax.op, name)), {"a": real(2, 3, 5), "b": real(3, 1)}) for name in BINARY},
    "indices": (wrapped, {"a": RNG.integers(-9, 9, (3, 4))}),
    "astype": (lambda b, a: b.emit(relax.op.astype(b.emit(relax.op.greater(a, vector([[0.0]]))), "float32")), {"a": real(3, 4)}),
    "take": (made(lambda a, i: relax.op.take(a, i, axis=1)), {"a": real(2, 7, 3), "i": RNG.integers(-7, 7, (2, 5))}),
    "softmax": (made(lambda a: relax.op.nn.softmax(a, -1)), {"a": real(2, 3, 37, scale=6.0)}),
    "softmax of channels": (made(lambda a: relax.op.nn.log_softmax(a, 1)), {"a": real(2, 5, 3)}),
    "layer_norm": (made(lambda a: relax.op.nn.layer_norm(a, vector(real(35)), vector(real(35)), axes=[-1])), {"a": real(3, 7, 35)}),
    "mean of rows": (made(lambda a: relax.op.mean(a, [-1], True)), {"a": real(3, 7, 35)}),
    "mean of images": (made(lambda a: relax.op.mean(a, [2, 3])), {"a": real(2, 5, 3, 7)}),
    "sum of columns": (made(lambda a: relax.op.sum(a, [1])), {"a": real(3, 19, 5)}),
    "clip": (made(lambda a: relax.op.clip(a, -0.5, 1.25)), {"a": real(40)}),
    "sigmoid": (made(relax.op.sigmoid), {"a": np.concatenate([real(60, scale=9.0), np.float32([-90, 90, 0, -0.0])])}),
    "log": (made(relax.op.log), {"a": np.abs(real(60)) + np.float32(1e-3)}),
    **{kind: (lambda b, x, kind=kind, attrs=attrs: b.emit(ops.call("octet.unary", [x], kind=kind, **attrs)), {"x": real(70, scale=4.0)}) for kind, attrs in KINDS.items()},
    "max_pool": (made(lambda a: relax.op.nn.max_pool2d(a, (3, 3), (2, 2), (1, 1, 1, 1))), {"a": real(1, 3, 7, 8)}),
    "avg_pool": (made(lambda a: relax.op.nn.avg_pool2d(a, (3, 2), (2, 2), (1, 0, 1, 1))), {"a": real(1, 3, 7, 8)}),
    "heads to int8": (product(False), {"x": codes(RNG, 2, 3, 20, 37), "y": codes(RNG, 2, 3, 37, 21)}),
    "heads to float": (product(True), {"x": codes(RNG, 2, 3, 20, 37), "y": codes(RNG, 2, 3, 37, 21)}),
    "a shared matrix": (product(False), {"x": codes(RNG, 3, 9, 64), "y": codes(RNG, 64, 32)}),
    "few columns": (product(True), {"x": codes(RNG, 2, 9, 3), "y": codes(RNG, 1, 3, 5)}),
}  # fmt: skip
CLOSE = {
    "float conv": (lambda b, x, r: b.emit(ops.call("octet.conv2d", [x, vector(real(6, 2, 3, 3)), vector(real(6)), r], strides=[2, 1], padding=[1, 1, 1, 1], dilation=[1, 1],
                   groups=2, clip_min=0.0, clip_max=6.0, out_dtype="float32")), {"x": real(2, 4, 7, 6), "r": real(2, 6, 4, 6)}),
    "float dense": (lambda b, x: b.emit(ops.call("octet.dense", [x, vector(real(9, 31)), vector(real(9))], clip_min=-np.inf, clip_max=np.inf, out_dtype="float32")), {"x": real(2, 5, 31)}),
    "float matmul": (made(relax.op.matmul), {"a": real(2, 3, 19, 33), "b": real(33, 18)}),
}  # fmt: skip


@pytest.fixture(scope="module")
def operators():
    modules = {name: function(emit, **inputs) for name, (emit, inputs) in (CASES | CLOSE).items()}
    found = nets(list(modules.values()))
    return emulator(found), dict(zip(modules, zip(found, modules.values(), strict=True), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_same_bits(operators, name):
    emulated, found = operators
    assert not differences(emulated, *found[name], CASES[name][1], seeds=(0, 1))


@pytest.mark.parametrize("name", CLOSE)
def test_close(operators, name):
    emulated, found = operators
    (net, module), inputs = found[name], CLOSE[name][1]
    want = reference.run(module, inputs)[0]
    got = net.run(emulated, inputs, 2)[0].view(np.float32)[: want.size].reshape(want.shape)
    np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5)  # sums of at most 33 products of numbers near 4, in another order


def test_products_on_the_oldest_target():
    emit, inputs = CASES["heads to int8"]
    module = function(emit, **inputs)
    (net,) = nets([module], SM75)
    assert "mma_matmul" in [step.kernel for step in net.steps]
    assert not differences(emulator([net]), net, module, inputs, seeds=(1,))


def test_a_function_is_written_once_per_set_of_parameters():
    one, two = (functions.function("leaky_relu", {"alpha": alpha}) for alpha in (0.1, 0.2))
    assert one[0] != two[0] and one == functions.function("leaky_relu", {"alpha": 0.1})
    assert functions.known("celu") and not functions.known("gamma")


def test_of_a_table_only_what_is_taken_counts():
    emit, inputs = CASES["take"]
    step = nets([function(emit, **inputs)])[0].steps[0]
    assert (step.kernel, step.bytes) == ("take", 2 * (2 * 2 * 5 * 3 * 4) + 10 * 8)
