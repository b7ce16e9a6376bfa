"""Transposed convolutions become convolutions. Without groups and dilation every phase of the result's pixels is a
convolution of its own, and all phases are channels of one:

conv2d_transpose(x, w) = depth_to_space(conv2d(x, w'); strides)
    w'[(i * sw + j) * O + o, c, k - first, l - first'] = w[c, o, (i + top) % sh + m * sh, (j + left) % sw + m' * sw]
    where k = (i + top) // sh - m is the row of x that tap m of phase i reads, counted from the result's row // sh, and
    l likewise; taps that a phase lacks are 0. Where phases that begin in front of the result all read the same rows,
    they begin there, and a slice cuts off what is too much.

Otherwise zeros are put between the pixels of x:

conv2d_transpose(x, w) = conv2d(interleave(x; strides), flip(transpose(w))) with padding dilation*(k-1) - pad.

output_padding is added to the end padding; where the result would be a negative padding (pad > dilation*(k-1)) the
convolution runs without and the output is sliced. Groups are kept.
"""

from dataclasses import dataclass, replace

import numpy as np
from tvm import relax
from tvm.ir import IRModule

from ... import ops
from ...ops import shape_of
from ...rewriting.rule import RewriteGraph, rewrite
from ..questions import constant


@dataclass(frozen=True)
class ConvertTransposedConv:
    """Transposed convolutions with constant weights become convolutions; computed weights are left and noted."""

    def __call__(self, mod: IRModule) -> IRModule:
        """The module in which only computed weights have a conv2d_transpose left."""
        return rewrite(mod, _convert)


@dataclass(frozen=True)
class _Axis:
    """The taps of a transposed convolution along one axis: y[p] = sum of x[q] * w[p + before - stride * q].

    Row p is phase (p + offset) % stride of row (p + offset) // stride."""

    size: int
    result: int
    kernel: int
    stride: int
    before: int
    offset: int = 0

    @property
    def best(self) -> "_Axis":
        """The axis with the offset for which the phases together read the fewest rows."""
        return min(self, replace(self, offset=self.before % self.stride), key=lambda axis: axis.extent)

    @property
    def extent(self) -> int:
        """Rows of x that the phases of a row read."""
        first, last = self.reach
        return last - first + 1

    def taps(self, phase: int) -> list[tuple[int, int]]:
        """(row of x counted from that of the result, tap of w) of a phase."""
        shift, first = divmod(phase + self.before - self.offset, self.stride)
        return [(shift - m, tap) for m, tap in enumerate(range(first, self.kernel, self.stride))]

    @property
    def reach(self) -> tuple[int, int]:
        """The first and last row of x that any phase reads, counted from that of the result; 0 among them."""
        rows = [row for phase in range(self.stride) for row, _ in self.taps(phase)]
        return min([0, *rows]), max([0, *rows])

    @property
    def rows(self) -> int:
        """Rows of all phases, which may be more than the result has."""
        return -(-(self.offset + self.result) // self.stride)

    @property
    def padding(self) -> tuple[int, int]:
        """Rows of zeros before and behind x; negative where rows of x at the end are not read."""
        first, last = self.reach
        return -first, self.rows - self.size + last


def _convert(graph: RewriteGraph, call: relax.Expr, var: relax.Var) -> relax.Expr | None:
    if not ops.is_op(call, "relax.nn.conv2d_transpose"):
        return None
    weight = constant(call.args[1])
    if weight is None:
        graph.note(f"{var.name}: transposed convolution was not converted: its weights are computed at run time")
        return None
    plain = int(call.attrs.groups) == 1 and all(int(d) == 1 for d in call.attrs.dilation)
    strided = any(int(s) > 1 for s in call.attrs.strides)
    return (_by_phases if plain and strided else _interleaved)(graph, call, var, weight)


def _by_phases(graph: RewriteGraph, call: relax.Call, var: relax.Var, weight: np.ndarray) -> relax.Expr:
    strides, pads = [int(s) for s in call.attrs.strides], [int(p) for p in call.attrs.padding]
    shape = shape_of(var)
    axes = [
        _Axis(size, result, kernel, stride, before).best
        for size, result, kernel, stride, before in zip(
            shape_of(call.args[0])[2:], shape[2:], weight.shape[2:], strides, pads
        )
    ]
    (top, bottom), (left, right) = (axis.padding for axis in axes)
    out = relax.op.nn.conv2d(
        call.args[0], relax.const(_phases(weight, *axes)), padding=[top, left, max(bottom, 0), max(right, 0)]
    )
    phases, rows = graph.emit(out, like=var), [axis.rows for axis in axes]
    if min(bottom, right) < 0:
        phases = graph.emit(relax.op.strided_slice(phases, [2, 3], [0, 0], rows))
    out = ops.call("octet.depth_to_space", [phases], strides=strides)
    if [count * stride for count, stride in zip(rows, strides)] == list(shape[2:]):
        return out
    begin = [axis.offset for axis in axes]
    end = [axis.offset + axis.result for axis in axes]
    return relax.op.strided_slice(graph.emit(out), [2, 3], begin, end)


def _phases(weight: np.ndarray, down: _Axis, across: _Axis) -> np.ndarray:
    """[I, O, kh, kw] -> [sh * sw * O, I, rows, columns]: what every phase takes of its neighbourhood."""
    inputs, outputs = weight.shape[:2]
    extents = (down.extent, across.extent)
    made = np.zeros((down.stride, across.stride, outputs, inputs, *extents), weight.dtype)
    for i in range(down.stride):
        for j in range(across.stride):
            for row, k in down.taps(i):
                for column, tap in across.taps(j):
                    made[i, j, :, :, row - down.reach[0], column - across.reach[0]] = weight[:, :, k, tap].T
    return made.reshape(-1, inputs, *extents)


def _interleaved(graph: RewriteGraph, call: relax.Call, var: relax.Var, weight: np.ndarray) -> relax.Expr:
    attrs, data = call.attrs, call.args[0]
    strides, dilation, groups = [int(s) for s in attrs.strides], [int(d) for d in attrs.dilation], int(attrs.groups)
    pads, extra = [int(p) for p in attrs.padding], [int(p) for p in attrs.output_padding]
    reach = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:])]
    wanted = [reach[0] - pads[0], reach[1] - pads[1], reach[0] - pads[2] + extra[0], reach[1] - pads[3] + extra[1]]
    if strides != [1, 1]:
        data = graph.emit(ops.call("octet.interleave", [data], strides=strides, fill=0))
    out = relax.op.nn.conv2d(
        data, relax.const(_flip(weight, groups)), padding=[max(p, 0) for p in wanted], dilation=dilation, groups=groups
    )
    if min(wanted) >= 0:
        return out
    top, left = (max(-p, 0) for p in wanted[:2])
    height, width = shape_of(var)[2:]
    return relax.op.strided_slice(graph.emit(out, like=var), [2, 3], [top, left], [top + height, left + width])


def _flip(weight: np.ndarray, groups: int) -> np.ndarray:
    """[I, O/groups, kh, kw] -> [O, I/groups, kh, kw], mirrored in both directions."""
    i, o, kh, kw = weight.shape
    split = weight.reshape(groups, i // groups, o, kh, kw).transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(split.reshape(groups * o, i // groups, kh, kw)[:, :, ::-1, ::-1])
