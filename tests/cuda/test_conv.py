"""Every kernel that takes a convolution or a linear layer, byte for byte against the referee, on shapes that no tile
divides."""

from dataclasses import replace

import numpy as np
import pytest
from cuda_harness import SM61, SM75, SM80, codes, constant, differences, emulator, function, nets

from octet.passes import ops
from octet.passes.referee.integer import INTEGER
from octet.targets.cuda.compiling.source import named, source
from octet.targets.cuda.emulator import Emulator
from octet.targets.cuda.kernels.conv import Conv, Epilogue, conv_kernel
from octet.targets.cuda.kernels.conv_schedule import candidates
from octet.targets.cuda.layout import pack, packed, unpack

# The entries are n, c, h, w, o, kernel, strides, padding (t, l, b, r), dilation, groups, residual and whether the
# result is float32.
CASES = {
    "first layer": (2, 3, 13, 11, 24, (7, 7), (2, 2), (3, 3, 3, 3), (1, 1), 1, False, False),
    "one channel": (1, 1, 9, 9, 6, (3, 3), (1, 1), (0, 1, 0, 1), (1, 1), 1, False, False),
    "few outputs": (1, 20, 6, 5, 3, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1, True, False),
    "pointwise": (1, 36, 7, 9, 70, (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1, True, False),
    "strided pointwise": (2, 17, 7, 8, 33, (1, 1), (2, 2), (0, 0, 0, 0), (1, 1), 1, False, False),
    "dilated": (1, 16, 10, 10, 16, (3, 3), (1, 1), (2, 2, 2, 2), (2, 2), 1, True, False),
    "uneven": (1, 40, 5, 12, 19, (1, 5), (1, 3), (0, 1, 0, 2), (1, 1), 1, False, False),
    "strided border": (1, 32, 9, 8, 24, (3, 3), (2, 2), (1, 1, 1, 1), (1, 1), 1, False, False),
    "window of 25": (1, 36, 6, 7, 24, (5, 5), (1, 1), (2, 2, 2, 2), (1, 1), 1, False, False),
    "small image": (1, 20, 3, 2, 17, (5, 5), (1, 1), (2, 2, 2, 2), (1, 1), 1, False, False),
    "wide window": (1, 20, 2, 30, 20, (1, 17), (1, 1), (0, 8, 0, 8), (1, 1), 1, True, False),
    "groups of 16": (1, 64, 6, 6, 64, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 4, True, False),
    "groups of 3": (1, 12, 6, 6, 20, (3, 3), (2, 1), (1, 1, 1, 1), (1, 1), 4, False, False),
    "groups of 4": (2, 8, 5, 5, 6, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 2, True, False),
    "depthwise": (2, 21, 9, 10, 21, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 21, False, False),
    "depthwise strided": (1, 32, 9, 7, 32, (5, 5), (2, 2), (2, 2, 2, 2), (1, 1), 32, True, False),
    "depthwise dilated": (1, 3, 9, 3, 3, (3, 3), (1, 1), (2, 2, 2, 2), (2, 2), 3, False, False),
    "depthwise to float": (1, 5, 4, 4, 5, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 5, False, True),
    "to float": (2, 18, 4, 3, 21, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1, False, True),
    "grouped to float": (1, 6, 4, 3, 4, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 2, False, True),
}


def convolution(case, seed):
    """(module, inputs)."""
    n, c, h, w, o, kernel, strides, padding, dilation, groups, residual, to_float = case
    rng = np.random.default_rng(seed)
    out = [n, o] + [
        (s + padding[i] + padding[i + 2] - dilation[i] * (kernel[i] - 1) - 1) // strides[i] + 1
        for i, s in enumerate((h, w))
    ]
    inputs = {"x": codes(rng, n, c, h, w)} | ({"r": codes(rng, *out)} if residual else {})
    weight, bias = (
        rng.integers(-127, 128, (o, c // groups, *kernel)).astype(np.int8),
        rng.integers(-9999, 9999, o).astype(np.int32),
    )
    scale = np.float32(2.0 / np.sqrt(c // groups * kernel[0] * kernel[1]) / 70)
    vectors = [constant(a) for a in (weight, bias, (rng.random(o).astype(np.float32) + np.float32(0.1)) * scale)]
    attrs = dict(
        strides=list(strides),
        padding=list(padding),
        dilation=list(dilation),
        groups=groups,
        data_zero_point=int(rng.integers(-128, 128)),
    )
    attrs |= (
        dict(out_dtype="float32", clip_min=-40.0, clip_max=float("inf"))
        if to_float
        else dict(out_dtype="int8", clip_min=-120, clip_max=119, out_zero_point=-7)
    )
    attrs |= dict(residual_zero_point=11, residual_multiplier=0.73) if residual else {}
    return function(lambda b, x, *r: b.emit(ops.call("octet.conv2d", [x, *vectors, *r], **attrs)), **inputs), inputs


@pytest.fixture(scope="module", params=[SM80, SM75, SM61], ids=lambda spec: spec.name)
def convolutions(request):
    made = {name: convolution(case, i) for i, (name, case) in enumerate(CASES.items())}
    found = nets([module for module, _ in made.values()], request.param)
    return emulator(found), {name: (net, *one) for net, (name, one) in zip(found, made.items(), strict=True)}


@pytest.mark.parametrize("name", CASES)
def test_convolution(convolutions, name):
    emulated, cases = convolutions
    assert not differences(emulated, *cases[name])


def test_each_kind_of_kernel_is_met(convolutions):
    used = {step.kernel for net, _, _ in convolutions[1].values() for step in net.steps}
    assert {"dp4a_depthwise", "dp4a_conv2d"} <= used and ("mma_conv2d" in used) != ("dp4a_tiled_conv2d" in used)


@pytest.mark.parametrize("rows", [1, 4, 5])
def test_dense(rows):
    """A few rows go to the kernel with a warp per output, more to the tiles."""
    rng = np.random.default_rng(rows)
    weight, bias, scale = (
        rng.integers(-127, 128, (37, 100)).astype(np.int8),
        rng.integers(-999, 999, 37).astype(np.int32),
        np.full(37, 0.002, np.float32),
    )
    modules, inputs = [], {"x": codes(rng, rows, 100), "r": codes(rng, rows, 37)}
    for residual in (False, True):
        attrs = dict(
            data_zero_point=-5,
            out_dtype="int8",
            out_zero_point=3,
            clip_min=-128,
            clip_max=127,
            residual_zero_point=1,
            residual_multiplier=0.5,
        )
        call = lambda b, x, r: b.emit(
            ops.call("octet.dense", [x, *map(constant, (weight, bias, scale)), *([r] if residual else [])], **attrs)
        )
        modules.append(function(call, **inputs))
    made = nets(modules)
    emulated = emulator(made)
    for net, module in zip(made, modules, strict=True):
        assert ("dp4a_dense" if rows <= 4 else "mma_conv2d") in [step.kernel for step in net.steps]
        assert not differences(emulated, net, module, inputs, seeds=(0, 1))


@pytest.mark.parametrize("spec", [SM80, SM75, SM61], ids=lambda spec: spec.name)
def test_every_tile(spec):
    """Each schedule a target may choose, on one layer that none divides."""
    rng = np.random.default_rng(3)
    n, c, h, w, o = 1, 40, 13, 11, 70
    layout, result = packed((n, c, h, w)), packed((n, o, h, w))
    problem = Conv(n, h, w, h, w, 3, 3, 1, 1, 1, 1, 1, 1, layout.stride, result.stride, 1, c, o, -9)
    epilogue = Epilogue(False, 5, -128, 100, 0.0, 0.0, True, -2, 0.4)
    x, weight, residual = (
        codes(rng, n, c, h, w),
        rng.integers(-127, 128, (o, c, 3, 3)).astype(np.int8),
        codes(rng, n, o, h, w),
    )
    bias, multiplier = rng.integers(-999, 999, o).astype(np.int32), np.full(o, 0.003, np.float32)
    split = [
        replace(tile, splits=splits) for tile, splits in zip(candidates(spec)[-6:], (2, 4, 2, 7, 3, 2), strict=True)
    ]
    tiles = (
        *candidates(spec)[:: 1 if spec is SM80 else 4],
        *split[-2:],
    )  # The two differ in the number of stages alone.
    kernels = {tile: conv_kernel(problem, epilogue, weight, bias, multiplier, spec, tile) for tile in tiles}
    names = named(kernel.kernel for kernel in kernels.values())
    emulated = Emulator(source(names), {name: kernel.operands for kernel, name in names.items()})
    attrs = dict(
        data_zero_point=-9,
        strides=[1, 1],
        padding=[1] * 4,
        dilation=[1, 1],
        groups=1,
        out_dtype="int8",
        out_zero_point=5,
        clip_min=-128,
        clip_max=100,
    )
    wanted = INTEGER["octet.conv2d"](
        [x, weight, bias, multiplier, residual], attrs | dict(residual_zero_point=-2, residual_multiplier=0.4)
    )
    for tile, made in kernels.items():
        assert made.kernel.shared <= spec.extra["shared_bytes"]
        for seed in (0, 2):
            kernel = made.kernel
            state = [np.zeros(kernel.state, np.uint8)] if kernel.state else []
            buffers = [
                emulated.buffer(a)
                for a in (
                    pack(layout, x),
                    *made.constants,
                    pack(result, residual),
                    *state,
                    np.full(result.elements, 77, np.int8),
                )
            ]
            emulated.launch(
                names[kernel], kernel.grid, kernel.block, kernel.shared, [buffer.address for buffer in buffers], seed
            )
            assert (unpack(result, buffers[-1].array) == wanted).all(), (tile, seed)
            assert not (kernel.state and buffers[-2].array.any()), "state must be zero again"
