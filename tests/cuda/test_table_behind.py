"""A table behind a convolution or linear layer: one launch of every kernel that takes layers, and the referee's bytes;
and where it stays apart."""

import numpy as np
import pytest
from cuda_harness import SM61, SM80, codes, constant, differences, emulator, function, nets
from tvm import relax

from octet.passes import ops

RNG = np.random.default_rng(5)
TABLE = RNG.permutation(256).astype(np.uint8).view(np.int8)


def layer(b, x, outputs, residual=None, kernel=1, groups=1, dense=False):
    """An int8 layer whose clips cut something off."""
    channels = int(x.ty.shape.values[-1 if dense else 1])
    shape = (outputs, channels) if dense else (outputs, channels // groups, kernel, kernel)
    weight, bias = RNG.integers(-127, 128, shape).astype(np.int8), RNG.integers(-999, 999, outputs).astype(np.int32)
    vectors = [
        constant(weight),
        constant(bias),
        constant(np.full(outputs, 0.4 / np.sqrt(weight[0].size) / 30, np.float32)),
    ]
    attrs = dict(data_zero_point=3, out_dtype="int8", out_zero_point=-7, clip_min=-101, clip_max=119)
    attrs |= {} if dense else dict(strides=[1, 1], padding=[kernel // 2] * 4, dilation=[1, 1], groups=groups)
    attrs |= {} if residual is None else dict(residual_zero_point=3, residual_multiplier=0.73)
    return b.emit(
        ops.call(
            "octet.dense" if dense else "octet.conv2d",
            [x, *vectors, *([] if residual is None else [residual])],
            **attrs,
        )
    )


def looked_up(b, value, table=TABLE):
    return b.emit(ops.call("octet.table", [value, constant(table)]))


CASES = {
    "tiles": (lambda b, x: looked_up(b, layer(b, x, 70, dense=True)), {"x": codes(RNG, 2, 37, 100)}),
    "residual": (
        lambda b, x, r: looked_up(b, layer(b, x, 40, r, 3)),
        {"x": codes(RNG, 1, 64, 9, 7), "r": codes(RNG, 1, 40, 9, 7)},
    ),
    "3 channels out": (lambda b, x: looked_up(b, layer(b, x, 3, kernel=3)), {"x": codes(RNG, 1, 20, 6, 5)}),
    "groups of 16": (lambda b, x: looked_up(b, layer(b, x, 64, kernel=3, groups=4)), {"x": codes(RNG, 1, 64, 6, 6)}),
    "a sum of several blocks": (lambda b, x: looked_up(b, layer(b, x, 80, kernel=3)), {"x": codes(RNG, 1, 512, 4, 4)}),
    "direct": (lambda b, x: looked_up(b, layer(b, x, 20, kernel=3, groups=4)), {"x": codes(RNG, 1, 12, 6, 6)}),
    "depthwise": (lambda b, x: looked_up(b, layer(b, x, 21, kernel=3, groups=21)), {"x": codes(RNG, 2, 21, 9, 10)}),
    "few rows": (
        lambda b, x, r: looked_up(b, layer(b, x, 37, r, dense=True)),
        {"x": codes(RNG, 3, 100), "r": codes(RNG, 3, 37)},
    ),
}


@pytest.fixture(scope="module", params=[SM80, SM61], ids=lambda spec: spec.name)
def layers(request):
    modules = {name: function(emit, **inputs) for name, (emit, inputs) in CASES.items()}
    found = nets(list(modules.values()), request.param)
    return emulator(found), dict(zip(modules, zip(found, modules.values(), strict=True), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_one_launch_with_the_referees_bytes(layers, name):
    machine, found = layers
    net, module = found[name]
    operators = [step.operator for step in net.steps]
    assert "octet.table" not in operators and sum(operator.endswith(" + table") for operator in operators) == 1, (
        operators
    )
    assert not differences(machine, net, module, CASES[name][1], seeds=(0, 1, 2))


def test_each_kind_of_kernel_is_met(layers):
    used = {step.kernel for net, _ in layers[1].values() for step in net.steps}
    assert {"dp4a_depthwise", "dp4a_conv2d", "dp4a_dense"} <= used and used & {"mma_conv2d", "dp4a_tiled_conv2d"}
    assert any(call.kernel.state for call in layers[1]["a sum of several blocks"][0].lowered.calls)


def two_readers(b, x):
    value = layer(b, x, 8, dense=True)
    return [looked_up(b, value), value]


APART = {
    "another reader": two_readers,
    "a table per channel": lambda b, x: looked_up(b, layer(b, x, 8, dense=True), np.stack([TABLE] * 8)),
    "a table behind a table": lambda b, x: looked_up(b, looked_up(b, x)),
}


@pytest.mark.parametrize("name", APART)
def test_tables_that_stay_launches(name):
    (net,) = nets([function(APART[name], x=codes(np.random.default_rng(0), 9, 16))])
    assert "octet.table" in [step.operator for step in net.steps]


def test_pixels_that_processors_take_as_codes_are_converted():
    def emit(b, x):
        value = b.emit(relax.op.astype(x, "float32"))
        return b.emit(relax.op.quantize(value, relax.const(1.0), relax.const(-128, "int8"), axis=0, out_dtype="int8"))

    x = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    (net,) = nets([function(emit, x=x)])
    assert len(net.steps) >= 1 and not differences(emulator([net]), net, function(emit, x=x), {"x": x})
