"""float32 and index operators: the referee's bits, but for products of matrices, whose order of summation is free; and
products of two int8 tensors."""

import numpy as np
import pytest
from cuda_harness import SM75, SM80, codes, constant, differences, emulator, function, nets
from tvm import relax

from octet.passes import ops
from octet.targets.cuda.compiling.source import named, source
from octet.targets.cuda.emulator import Emulator
from octet.targets.cuda.kernels import float_layers, functions

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
    attrs = dict(
        multiplier=0.0007,
        out_dtype="float32" if to_float else "int8",
        clip_min=float("-inf") if to_float else -100,
        clip_max=float("inf") if to_float else 127,
    )
    return lambda b, x, y: b.emit(
        ops.call("octet.matmul", [x, y], **attrs, **({} if to_float else {"out_zero_point": 4}))
    )


BINARY = ("add", "subtract", "multiply", "divide", "maximum", "minimum")
KINDS = {
    "hard_sigmoid": {"alpha": 0.2, "beta": 0.5},
    "leaky_relu": {"alpha": 0.1},
    "elu": {"alpha": 0.7},
    "gelu": {},
    "gelu_tanh": {},
    "mish": {},
    "tanh": {},
    "erf": {},
}
CASES = {
    **{f"relax.{name}": (made(getattr(relax.op, name)), {"a": real(2, 3, 5), "b": real(3, 1)}) for name in BINARY},
    "indices": (wrapped, {"a": RNG.integers(-9, 9, (3, 4))}),
    "astype": (
        lambda b, a: b.emit(relax.op.astype(b.emit(relax.op.greater(a, vector([[0.0]]))), "float32")),
        {"a": real(3, 4)},
    ),
    "take": (made(lambda a, i: relax.op.take(a, i, axis=1)), {"a": real(2, 7, 3), "i": RNG.integers(-7, 7, (2, 5))}),
    "scatter_add": (
        made(lambda a, u, i: ops.call("octet.scatter_add", [a, u, i])),
        {"a": real(4, 150), "u": real(9, 150), "i": RNG.integers(-2, 6, 9)},
    ),
    "embedding": (
        lambda b, i: b.emit(ops.call("octet.embedding", [constant(codes(RNG, 9, 5)), vector(np.abs(real(9))), i])),
        {"i": RNG.integers(0, 12, (2, 5))},
    ),
    "softmax": (made(lambda a: relax.op.nn.softmax(a, -1)), {"a": real(2, 3, 37, scale=6.0)}),
    "softmax of channels": (made(lambda a: relax.op.nn.log_softmax(a, 1)), {"a": real(2, 5, 3)}),
    "layer_norm": (
        made(lambda a: relax.op.nn.layer_norm(a, vector(real(35)), vector(real(35)), axes=[-1])),
        {"a": real(3, 7, 35)},
    ),
    "mean of rows": (made(lambda a: relax.op.mean(a, [-1], True)), {"a": real(3, 7, 35)}),
    "mean of images": (made(lambda a: relax.op.mean(a, [2, 3])), {"a": real(2, 5, 3, 7)}),
    "sum of columns": (made(lambda a: relax.op.sum(a, [1])), {"a": real(3, 19, 5)}),
    "clip": (made(lambda a: relax.op.clip(a, -0.5, 1.25)), {"a": real(40)}),
    "sigmoid": (made(relax.op.sigmoid), {"a": np.concatenate([real(60, scale=9.0), np.float32([-90, 90, 0, -0.0])])}),
    "log": (made(relax.op.log), {"a": np.abs(real(60)) + np.float32(1e-3)}),
    **{
        kind: (
            lambda b, x, kind=kind, attrs=attrs: b.emit(ops.call("octet.unary", [x], kind=kind, **attrs)),
            {"x": real(70, scale=4.0)},
        )
        for kind, attrs in KINDS.items()
    },
    "max_pool": (made(lambda a: relax.op.nn.max_pool2d(a, (3, 3), (2, 2), (1, 1, 1, 1))), {"a": real(1, 3, 7, 8)}),
    "avg_pool": (made(lambda a: relax.op.nn.avg_pool2d(a, (3, 2), (2, 2), (1, 0, 1, 1))), {"a": real(1, 3, 7, 8)}),
    "heads to int8": (product(False), {"x": codes(RNG, 2, 3, 20, 37), "y": codes(RNG, 2, 3, 37, 21)}),
    "heads to float": (product(True), {"x": codes(RNG, 2, 3, 20, 37), "y": codes(RNG, 2, 3, 37, 21)}),
    "a shared matrix": (product(False), {"x": codes(RNG, 3, 9, 64), "y": codes(RNG, 64, 32)}),
    "few columns": (product(True), {"x": codes(RNG, 2, 9, 3), "y": codes(RNG, 1, 3, 5)}),
}


def layer(name, *weight, **attrs):
    """A float layer with weights of that shape, [K, N] of a linear one."""
    bias = real(weight[0 if name == "conv2d" else 1])
    vectors, limits = [vector(real(*weight)), vector(bias)], dict(clip_min=-np.inf, clip_max=np.inf)
    return lambda b, x, *r: b.emit(
        ops.call(f"octet.{name}", [x, *vectors, *r], out_dtype="float32", **(limits | attrs))
    )


def window(strides, padding, dilation=(1, 1), groups=1):
    return dict(strides=list(strides), padding=list(padding), dilation=list(dilation), groups=groups)


CLOSE = {
    "few of a group": (
        layer("conv2d", 6, 2, 3, 3, **window([2, 1], [1] * 4, groups=2), clip_min=0.0, clip_max=6.0),
        {"x": real(2, 4, 7, 6), "r": real(2, 6, 4, 6)},
    ),
    "float conv": (
        layer("conv2d", 70, 5, 3, 3, **window([2, 1], [1] * 4), clip_min=-20.0, clip_max=6.0),
        {"x": real(2, 5, 7, 9), "r": real(2, 70, 4, 9)},
    ),
    "grouped": (layer("conv2d", 40, 3, 2, 3, **window([1, 1], [0, 2, 1, 1], (1, 2), 2)), {"x": real(1, 6, 9, 8)}),
    "pointwise": (layer("conv2d", 33, 36, 1, 1, **window([1, 1], [0] * 4)), {"x": real(1, 36, 9, 8)}),
    "float dense": (layer("dense", 31, 9), {"x": real(2, 5, 31)}),
    "dense of granules": (layer("dense", 64, 36), {"x": real(37, 64), "r": real(37, 36)}),
    "few rows": (layer("dense", 71, 9), {"x": real(3, 71), "r": real(3, 9)}),
    "float matmul": (made(relax.op.matmul), {"a": real(2, 3, 19, 33), "b": real(33, 18)}),
    "matmul of granules": (made(relax.op.matmul), {"a": real(2, 19, 36), "b": real(2, 36, 20)}),
}


@pytest.fixture(scope="module")
def operators():
    modules = {name: function(emit, **inputs) for name, (emit, inputs) in (CASES | CLOSE).items()}
    found = nets(list(modules.values()))
    return emulator(found), dict(zip(modules, zip(found, modules.values(), strict=True), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_same_bits(operators, name):
    emulated, found = operators
    assert not differences(emulated, *found[name], CASES[name][1], seeds=(0, 1))


TOLERANCE = 2e-5  # Sums of at most 71 products of numbers near 4 are added in another order.


@pytest.mark.parametrize("name", CLOSE)
def test_close(operators, name):
    emulated, found = operators
    assert not differences(emulated, *found[name], CLOSE[name][1], (2,), TOLERANCE)


def test_tensor_cores_where_they_take_float32(operators):
    kernels = {name: operators[1][name][0].steps[0].kernel for name in CLOSE}
    assert {name for name, kernel in kernels.items() if kernel in ("tf32_conv2d", "tf32_matmul")} == set(CLOSE) - {
        "few of a group",
        "few rows",
    }
    assert (kernels["few of a group"], kernels["few rows"]) == ("float_conv2d", "float_dense")


def test_close_without_tensor_cores_for_float32():
    modules = {name: function(emit, **inputs) for name, (emit, inputs) in CLOSE.items()}
    found = nets(list(modules.values()), SM75)
    emulated = emulator(found)
    for (name, module), net in zip(modules.items(), found, strict=True):
        assert net.steps[0].kernel in ("float_conv2d", "float_matmul", "float_dense")
        assert not differences(emulated, net, module, CLOSE[name][1], (2,), TOLERANCE)


def test_three_products_of_tf32_are_as_exact_as_float32():
    """Every tile, on numbers of many magnitudes: within 2^-20 of the sum of the products' magnitudes, where one product
    of TF32 is off by 2^-12 and more."""
    rng = np.random.default_rng(4)
    a, b = (
        (rng.standard_normal(shape) * np.exp2(rng.integers(-12, 13, shape))).astype(np.float32)
        for shape in ((45, 150), (150, 70))
    )
    want, magnitude = a.astype(np.float64) @ b, np.abs(a).astype(np.float64) @ np.abs(b)
    kernels = [float_layers.matmul(1, 45, 70, 150, False, False, SM80, tile) for tile in float_layers.TILES]
    names = named(kernels)
    emulated = Emulator(source(names), {name: kernel.operands for kernel, name in names.items()})
    for seed, kernel in enumerate(kernels):
        buffers = [emulated.buffer(array) for array in (a, b, np.full(want.shape, 7, np.float32))]
        emulated.launch(
            names[kernel], kernel.grid, kernel.block, kernel.shared, [buffer.address for buffer in buffers], seed
        )
        assert (np.abs(buffers[-1].array.reshape(want.shape) - want) / magnitude).max() < 2.0**-20


def test_products_on_the_oldest_target():
    emit, inputs = CASES["heads to int8"]
    module = function(emit, **inputs)
    (net,) = nets([module], SM75)
    assert "mma_matmul" in [step.kernel for step in net.steps]
    assert not differences(emulator([net]), net, module, inputs, seeds=(1,))


def test_a_function_is_written_once_per_set_of_parameters():
    one, two = (functions.function("leaky_relu", {"alpha": alpha}) for alpha in (0.1, 0.2))
    assert one[0] != two[0] and one == functions.function("leaky_relu", {"alpha": 0.1})
    assert functions.has_device_code("celu") and not functions.has_device_code("gamma")


def test_of_a_table_only_what_is_taken_counts():
    emit, inputs = CASES["take"]
    step = nets([function(emit, **inputs)])[0].steps[0]
    assert (step.kernel, step.bytes) == ("take", 2 * (2 * 2 * 5 * 3 * 4) + 10 * 8)
