"""Convolutions and linear layers: which kernel takes them, and its constants."""

from math import prod

import numpy as np

from ...targets.x86 import conv_amx, conv_depthwise, conv_direct
from ...targets.x86.conv_epilogue import supports_depthwise
from ...targets.x86.conv_pack import fold_bias, pack_amx, pack_channels, pack_direct, weight_matrix
from ...targets.x86.conv_problem import ConvProblem, Epilogue
from ...targets.x86.intrinsics import TILE_ROWS, tile_config
from ...targets.x86.layout import Layout
from .. import ops


def conv2d(call, ctx):
    """octet.conv2d -> depthwise, tile (AMX) or vector kernel."""
    data = ctx.packed(call.args[0])
    weight = ctx.constant(call.args[1])
    attrs = ops.attrs_of(call)
    n, c, h, w = data.layout.shape
    problem = ConvProblem(data.layout.dtype, n, c, h, w, weight.shape[0], tuple(weight.shape[2:]), tuple(attrs["strides"]), tuple(attrs["padding"]),
                          tuple(attrs["dilation"]), attrs["groups"], attrs.get("data_zero_point", 0), _epilogue(call, attrs))
    return _emit(call, ctx, data, weight, problem, _layout(call))


def dense(call, ctx):
    """octet.dense: a convolution with one pixel per row of the data."""
    data = ctx.packed(call.args[0])
    weight = ctx.constant(call.args[1])
    attrs = ops.attrs_of(call)
    rows, inputs = prod(data.layout.shape[:-1]), data.layout.shape[-1]
    problem = ConvProblem(data.layout.dtype, rows, inputs, 1, 1, weight.shape[0], (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1,
                          attrs.get("data_zero_point", 0), _epilogue(call, attrs))
    return _emit(call, ctx, data, weight[:, :, None, None], problem, _layout(call))


def _layout(call):
    shape = tuple(int(d) for d in call.ty.shape.values)
    return Layout("nhwc" if len(shape) == 4 else "rows", shape, str(call.ty.dtype))


def _residual(call):
    """The residual operand: it follows bias and, for int8, multiplier."""
    first = 3 if str(call.args[1].ty.dtype) == "float32" else 4
    return call.args[first] if len(call.args) > first else None


def _epilogue(call, attrs):
    return Epilogue(attrs["out_dtype"], attrs.get("out_zero_point", 0), attrs["clip_min"], attrs["clip_max"], _residual(call) is not None,
                    attrs.get("residual_zero_point", 0), attrs.get("residual_multiplier", 0.0))


def _emit(call, ctx, data, weight, problem, layout):
    int8 = problem.dtype == "int8"
    bias = ctx.constant(call.args[2])
    multiplier = ctx.constant(call.args[3]) if int8 else None
    if int8:
        bias = fold_bias(problem, weight, bias)
    func, constants, kernel = _kernel(ctx.spec, problem, weight, bias, multiplier)
    residual = _residual(call)
    operands = [data, *(c for c in constants if c is not None)] + ([ctx.packed(residual)] if residual is not None else [])
    return ctx.emit(func, operands, layout, call.op.name, kernel, problem.multiply_adds)


def _kernel(spec, p, weight, bias, multiplier):
    """(PrimFunc, its constants, the kernel family's name)."""
    if p.depthwise and (p.dtype == "float32" or supports_depthwise(p.epilogue)):
        order = conv_depthwise.pack_channels
        constants = [conv_depthwise.pack_weights(p, weight), order(p, bias), order(p, multiplier) if multiplier is not None else None]
        return conv_depthwise.conv2d_depthwise(p, conv_depthwise.default_schedule(p)), constants, "depthwise"
    if p.dtype == "int8" and spec.dot == "amx":
        walk = conv_amx.walk_of(p)
        matrix = weight_matrix(p, walk, weight, conv_amx.BLOCK, 64)
        constants = [pack_amx(matrix, p.out_blocks), pack_channels(bias, 16), tile_config(min(TILE_ROWS, walk.pixels)), pack_channels(multiplier, 16)]
        return conv_amx.conv2d_amx(p, conv_amx.default_schedule(p)), constants, "amx"
    schedule = conv_direct.default_schedule(p)
    block = schedule.vectors * 16
    matrix = weight_matrix(p, conv_direct.walk_of(p, schedule.vectors), weight, block, conv_direct.step_of(p))
    constants = [pack_direct(matrix, conv_direct.step_of(p)), pack_channels(bias, block), pack_channels(multiplier, block) if multiplier is not None else None]
    return conv_direct.conv2d_direct(p, schedule), constants, "vnni" if p.dtype == "int8" else "fma"


RULES = {"octet.conv2d": conv2d, "octet.dense": dense}
