"""The checksum of a layer: both sides agree on every kernel of every level, and a flipped bit of what is multiplied
makes them differ."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import tvm

from octet.targets import registry
from octet.targets.x86.checks.kernels import comparing_kernel, weighted_sum
from octet.targets.x86.conv import amx as conv_amx
from octet.targets.x86.conv.choose import conv_kernel
from octet.targets.x86.conv.left_sums import with_checksum
from octet.targets.x86.isa import building_for

_spec = importlib.util.spec_from_file_location("conv_harness", Path(__file__).with_name("conv_harness.py"))
harness = sys.modules["conv_harness"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(harness)
problem, module_here = harness.problem, harness.module_here

LEVELS = [spec for spec in registry.TARGETS.values() if spec.machine == "x86_64"]
CASES = {
    "pointwise": problem(40, 9, 72),
    "stride 2, uneven pads": problem(20, 5, 33, 3, 2, (1, 0, 2, 1)),
    "pointwise, stride 2": problem(32, 9, 48, 1, 2),
    "first layer": problem(3, 17, 24, 7, 2),
    "wide image": problem(24, (3, 21), 48, 3, zero_point=-100),
    "groups that no block holds": problem(15, 4, 21, 3, groups=3),
    "dilation, residual, batch": problem(16, 10, 16, 3, dilation=2, padding=(2, 2, 2, 2), residual=True, batch=2),
    "linear": problem(100, 1, 10, batch=5),
    "linear, one sample": problem(100, 1, 200),
    "to float": problem(100, 3, 10, 3, out_dtype="float32"),
    "depthwise": problem(80, 9, 80, 3, groups=80),
    "depthwise, stride 2": problem(33, 7, 33, 3, 2, groups=33),
    "depthwise, channels as tasks": problem(230, (7, 9), 230, 5, padding=(1, 2, 3, 2), groups=230),
    "depthwise, two pixels in a vector": problem(30, (5, 23), 30, 3, groups=30, batch=2),
    "depthwise to float": problem(150, 8, 150, 7, groups=150, out_dtype="float32", clip=(-0.5, np.inf)),
}

ON_EVERY_LEVEL = ("stride 2, uneven pads", "linear", "depthwise")


class Layer:
    """One layer with its checksum on buffers of its own. data, constants: what a fault may hit."""

    def __init__(self, p, spec, seed=0):
        self.p, self.spec = with_checksum(p), spec
        data, weight, bias, multiplier, residual = harness.arguments(p, seed)
        self.want = harness.expected(p, data, weight, bias, multiplier, residual)
        schedule = conv_amx.default_schedule(p) if spec.dot == "amx" and p.groups == 1 else None
        self.kernel = conv_kernel(self.p, spec.dot, weight, bias, multiplier, schedule)
        self.data, self.constants, self.residual = (
            harness.pack(data, 77),
            list(self.kernel.constants),
            harness.pack(residual, 77),
        )
        with building_for(spec.dot):
            self.weighted = weighted_sum(self.kernel.check.right)
            self.compare = comparing_kernel(
                (_size(self.kernel.func),), (_size(self.weighted),), self.kernel.check.constant
            )
        functions = (self.kernel.func, self.weighted, self.compare)
        self.library = module_here(tvm.IRModule({str(func.attrs["global_symbol"]): func for func in functions}), spec)

    def left(self):
        """(the result, the words of all tasks)."""
        p, out = (
            self.p,
            np.zeros(
                self.p.batch * self.p.out_height * self.p.out_width * self.p.out_stride + 64,
                np.uint8 if self.p.epilogue.out_dtype == "int8" else np.float32,
            ),
        )
        sums = np.full(_size(self.kernel.func), 99, np.int32)
        residual, stage = (
            [self.residual] if p.epilogue.residual else [],
            [np.zeros(self.kernel.workspace, np.uint8)] if self.kernel.workspace else [],
        )
        return self._call(
            self.kernel.func, [self.data, *self.constants, *residual, out, *stage, sums], -2 - len(stage), -1
        )

    def right(self):
        w = self.kernel.check.right
        return self._call(
            self.weighted,
            [
                self.data[: int(self.weighted.params[0].shape[0])],
                w.starts,
                w.offsets,
                w.digits.reshape(-1),
                np.full(_size(self.weighted), 99, np.int32),
            ],
            -1,
        )[0]

    def word(self, left, right):
        return int(self._call(self.compare, [left, right, np.full(1, 99, np.int32)], -1)[0][0])

    def _call(self, func, arrays, *results):
        tensors = [tvm.runtime.tensor(array) for array in arrays]
        self.library[str(func.attrs["global_symbol"])](*tensors)
        return [tensors[i].numpy() for i in results]


def _size(func):
    return int(func.params[-1].shape[0])


@pytest.mark.parametrize(
    "name, spec",
    [(name, spec) for name in CASES for spec in LEVELS if spec.name == "avx512vnni" or name in ON_EVERY_LEVEL],
    ids=lambda value: getattr(value, "name", value),
)
def test_both_sides_agree_and_the_bytes_are_the_same(name, spec):
    layer = Layer(CASES[name], spec)
    out, left = layer.left()
    p, pixels = layer.p, layer.p.batch * layer.p.out_height * layer.p.out_width
    got = (
        out[: pixels * p.out_stride]
        .reshape(p.batch, p.out_height, p.out_width, -1)[..., : p.out_channels]
        .transpose(0, 3, 1, 2)
    )
    np.testing.assert_array_equal(
        (got.astype(np.int16) - 128).astype(np.int8) if p.epilogue.out_dtype == "int8" else got, layer.want
    )
    assert layer.word(left, layer.right()) == 0
