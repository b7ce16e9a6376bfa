"""Octet's own Relax operators: the vocabulary of the graph between `annotate` and `lower`.

Every operator works on logical tensors (NCHW / OIHW / row-major), never on a target's layout. Integer tensors are s8 as
in the arithmetic contract: q = clip(rne(x / s) + z), x ~ (q - z) * s, with rne = round to nearest, ties to even.

=====================  ==========================================================================================
octet.observe          (x) -> x. Marks an edge that will be quantised. attrs: see passes/annotate/quantization_spec.py
octet.statistics       (x f32) -> f32 [header + samples]. What calibration wants to know of x: see
                       targets/x86/elementwise/summary.py. attrs: samples
octet.fake_quantize    (x f32, parameters f32[16]) -> f32. Fake quantisation that can be switched: see
                       targets/x86/elementwise/fake_quantize.py
octet.unary            (x f32) -> f32. A scalar function without a Relax operator of its own. attrs: kind, and its
                       parameters
octet.lstm_state       (x, r [B, 4H], c [B, H]) f32 -> [B, H]; octet.lstm_output and octet.gru_output likewise: see
                       targets/recurrent_math.py
octet.loop_index       () -> int64 []. The number of the step of a loop, which it stands for. attrs: steps, reverse
                       (from the last step to the first)
octet.loop_slice       (x f32 [steps, B, H], t) -> f32 [B, H]: x[t]
octet.loop_state       (start f32 [B, H], t) -> start in the first step, behind it what next[index] was in the step
                       before. attrs: index
octet.loop_stack       (value f32 [B, H], t, *next) -> f32 [steps, B, H]: the values of all steps, each at its number.
                       attrs: steps
octet.loop_last        (value f32 [B, H], t, *next) -> f32 [B, H]: that of the step that runs last
octet.interleave       (x) -> x with `fill` put between neighbours. attrs: strides [sh, sw], fill (0, or the zero point
                       once int8)
octet.depth_to_space   (x) -> x with every pixel's channels as [sh, sw] pixels, phase by phase: y[c, h * sh + i, w * sw
                       + j] = x[(i * sw + j) * C + c, h, w], C channels of y. attrs: strides [sh, sw]
octet.frame            (x) -> x in a frame of fill[c]. attrs: padding [top, left, bottom, right], fill [C] (numbers, or
                       codes once int8)
octet.bfloat16         (x f32) -> bf16, rounded; see below
octet.bits             (x f32) -> s32 or (x s32) -> f32, the same bits
octet.conv2d           (data, weight, bias, multiplier[, residual]); float32 and bfloat16: (data, weight, bias[,
                       residual])
octet.dense            the same for data [..., K] and weight [N, K], a float32 weight [K, N]
octet.embedding        (table int8 [N, K], scale f32 [N], indices) -> f32 [.., K]
octet.matmul           (a, b) int8, both computed at run time. attrs: multiplier, a_zero_point and b_zero_point (0
                       unless said), out_zero_point, clip_min, clip_max
octet.add              (a, b) int8 -> int8, NumPy broadcasting
octet.mul              (a, b) int8 -> int8, NumPy broadcasting
octet.avg_pool2d       (x int8) -> int8
octet.resize2d         (x int8 NCHW, rows int32[OH, 3], columns int32[OW, 3]) -> int8. Linear interpolation with whole
                       weights
octet.softmax          (x int8, table int32[256]) -> int8, over the last axis
octet.table            (x int8, table int8[256] or int8[C, 256]) -> int8: y = table[.., q + 128]
octet.requantize       (x int8) -> int8
octet.scatter_add      (data f32 [N, K], updates f32 [M, K], numbers [M]) -> f32 [N, K]
octet.nonzero          (x bool) -> int64 [rank, elements]
octet.non_max_suppression  (boxes f32 [B, n, 4], scores f32 [B, classes, n]) -> int64 [rows, 3]. attrs: most, overlap,
                           threshold, centers
=====================  ==========================================================================================

Attributes and equations (f32 = IEEE binary32, every product and sum rounded on its own, never contracted to FMA):

conv2d / dense, int8 (data s8, weight s8, bias s32[O] at scale s_x*s_w[o], multiplier f32[O], residual s8 of the
output's shape):
    acc[o] = sum((data - data_zero_point) * weight) exactly in s32; padding counts as data_zero_point (contributes 0)
    out_dtype "int8":     y = clip(rne(f32(acc + bias) * multiplier
                                       [+ f32(residual - residual_zero_point) * residual_multiplier])
                                   + out_zero_point, clip_min, clip_max)        multiplier = s_x * s_w / s_y
    out_dtype "float32":  y = min(max(f32(acc + bias) * multiplier, clip_min), clip_max)
                          multiplier = s_x * s_w, no residual
    attrs: strides [2], padding [top, left, bottom, right], dilation [2], groups (conv2d only); data_zero_point,
           out_zero_point, clip_min, clip_max, residual_zero_point, residual_multiplier, out_dtype
conv2d / dense, float32: y = min(max(conv + bias [+ residual], clip_min), clip_max); clip_min/clip_max may be -inf/inf.
bfloat16: to nearest, ties to even; below 2^-56 in magnitude to +0, NaN to the quiet one (targets/bfloat16.py).
conv2d / dense, data bfloat16 (weight float32, its values bfloat16's; groups 1): as float32; out_dtype "float32", or
"bfloat16" (rounded at the end); with
    conv = the sum over kernel rows, over kernel columns, over blocks of 32 input channels (the last one padded with
        zeros) of even + odd, one after the other from +0;
    even = the sum of the products of the channels 0, 2, 4, .. of the block, one after the other from +0; odd likewise
        of 1, 3, 5, ..
    With at most 4 channels (padded to 4) and several columns a block holds 8 columns of a kernel row: (column,
    channel), the last one padded with zeros.
    Every sum is rounded, products are exact (TDPBF16PS). So bias and residual are added to the finished sum. Outside
    the image data is 0.
    Defined for finite data where no product and no sum leaves the range of float32.
embedding: y[.., k] = f32(table[i, k]) * scale[i], i = min(max(index, 0), N - 1)
add:  y = clip(rne(f32(a - a_zero_point) * a_multiplier + f32(b - b_zero_point) * b_multiplier) + out_zero_point,
               clip_min, clip_max)
mul:  y = clip(rne(f32((a - a_zero_point) * (b - b_zero_point)) * multiplier) + out_zero_point, clip_min, clip_max)
matmul: y = clip(rne(f32(acc) * multiplier) + out_zero_point, ...), acc = sum((a - a_zero_point) * (b -
    b_zero_point)) exactly in s32, out_dtype as above
avg_pool2d: y = clip(rne(f32(sum(x - data_zero_point)) * (multiplier / count in f32)) + out_zero_point, clip_min,
                     clip_max)
    multiplier = s_x / s_y; count = the window's size, or its valid part when count_include_pad is 0
    attrs: pool_size [2], strides [2], padding [4], count_include_pad, ceil-mode already resolved into padding
resize2d: y[i, j] = clip(rne(f32(acc) * multiplier) + out_zero_point, ...)
    multiplier = s_x / (s_y * row_units * column_units)
    acc = sum over both rows r, both columns c of weight_r * weight_c * (x[r, c] - data_zero_point); (low, high, w) of
        `rows`: rows low and high of x with weights row_units - w and w, of `columns` likewise
    attrs: row_units, column_units, both zero points, multiplier, clip_min, clip_max
softmax, in whole numbers: e = table[max(x) - x], table[d] = rne(2^15 * exp(-d * s_x * scale))
    r = (levels << shift) / sum(e), cut to a whole number; y = ((e * r + 2^(shift - 1)) >> shift) + out_zero_point
    levels: 127 or 255, 1 / s_y; shift: 24 or 23, so that nothing leaves int32 for rows of up to 65535
    attrs: levels, out_zero_point
requantize: y = clip(rne(f32(x - data_zero_point) * multiplier) + out_zero_point, clip_min, clip_max)

table: a table per channel, int8[C, 256], follows axis 1 of a rank-2 or rank-4 tensor.
R.quantize: q = clip(rne(x / s) + z, -128, 127), x / s an IEEE division. R.dequantize: f32(q - z) * s.
Every multiplier is f32(f64(s_x) * f64(s_w) / f64(s_y)): rounded once, from the float32 scales
(passes/realize/requantize.py). Realize proves that no s32 accumulator overflows and that every value that is rounded is
below 2^31 - 2^10 in magnitude (passes/realize/overflow.py), so a kernel may convert f32 to s32 before it adds the zero
point and clips. acc + bias is one s32 sum: a bias with constants folded in may wrap, the sum does not. Scalar float
functions are fixed sequences of float32 operations (targets/float_math.py); other float operators:
passes/referee/floats.py.

loops: what stands between octet.loop_index and the loop's first result and depends on it is its body, which runs
    `steps` times: passes/rewriting/loops.py. It means the same as its steps one behind the other
    (passes/rewriting/unroll_loops.py). Layers of the body have one scale for their data in all steps.

scatter_add: y = data, then y[numbers[k]] = y[numbers[k]] + updates[k] for k = 0, 1, .., every sum rounded; a number
    outside of [0, N) adds nothing.
nonzero: column k holds the place of the k-th true element in row-major order, an index per axis; columns behind the
    last one hold -1.
non_max_suppression: rows (image, class, box), image by image, class by class; rows = B * classes * min(most, n), those
    behind the last box kept hold -1. Of each image and class the boxes with score > threshold (all whose score is a
    number, without one) are taken by descending score, at equal scores the one in front first, and one is kept unless
    it overlaps with one that was kept: both areas and the union above 0 and intersection / union > overlap; at most
    `most` are kept. Of a box (y1, x1, y2, x2), corners in any order, or, if centers, (x, y, w, h): low = min(y1, y2) or
    x - w / 2, high = max(y1, y2) or x + w / 2, area = (high - low of one axis) * (that of the other), intersection =
    that of max(lows) and min(highs), 0 unless both differences are above 0, union = (area + area') - intersection,
    area' of the box that was kept.

Everything that only moves data (reshape, permute_dims, concat, split, strided_slice, nn.pad, nn.max_pool2d, nearest
resize) stays the ordinary Relax operator, on s8 tensors that share one (scale, zero point). At the border to float stay
R.quantize and R.dequantize.
"""

from typing import Any, TypeGuard

import tvm
from tvm import relax
from tvm.ir import Op, make_node

from ..targets.tvm.privates import register_operator
from .operators.definition import InvalidOperator, OperandType
from .operators.registry import OPERATORS
from .unary import PARTS

QMIN, QMAX = -128, 127
NORMS = ("relax.nn.layer_norm", "relax.nn.rms_norm")  # These operators normalise rows.


def register() -> None:
    """Registers the operators with TVM; idempotent. Called once by `octet.passes`."""
    tvm.error.register_error(InvalidOperator)  # The error then comes back through TVM's C++ as itself.
    known = set(Op.list_op_names())
    for name, operator in OPERATORS.items():
        if name in known:
            continue
        register_operator(name, operator.summary)
        tvm.ir.register_op_attr(name, "FInferType", _infer)
        tvm.ir.register_op_attr(name, "FPurity", True)


def call(name: str, args: list[relax.Expr], **attrs: Any) -> relax.Call:
    """A call of one of Octet's operators. Raises InvalidOperator for what its definition (passes/operators/) does not
    allow. The type of the result, and with it the shapes of the operands, are checked when a BlockBuilder emits or
    normalises the call."""
    OPERATORS[name].verify([_tensor(arg) for arg in args], {key: _plain(value) for key, value in attrs.items()})
    return relax.Call(Op.get(name), args, make_node("ir.DictAttrs", **attrs))


def _infer(call: relax.Call, _: relax.BlockBuilder) -> relax.TensorType:
    """Of any of Octet's operators: TVM asks for it whenever a call has no type yet, and when it checks that a module is
    well formed."""
    operator, tensors, attrs = OPERATORS[call.op.name], [_tensor(arg) for arg in call.args], attrs_of(call)
    operator.verify(tensors, attrs)
    result = operator.infer(tensors, attrs)
    return relax.TensorType(result.shape, result.dtype)


def _tensor(expr: relax.Expr) -> OperandType | None:
    """The type of an operand; None where it is not inferred yet."""
    ty = expr.ty
    if not isinstance(ty, relax.TensorType):
        return None
    return OperandType([int(extent) for extent in ty.shape.values], str(ty.dtype))


def is_op(expr: relax.Expr | None, *names: str) -> TypeGuard[relax.Call]:
    """Whether `expr` is a call of one of the named operators (Relax's own or ours)."""
    return isinstance(expr, relax.Call) and isinstance(expr.op, Op) and expr.op.name in names


def is_tensor(expr: relax.Expr) -> bool:
    """Whether it is one tensor, a variable or a constant: no tuple, shape or literal."""
    return isinstance(expr.ty, relax.TensorType)


def shape_of(expr: relax.Expr) -> tuple[int, ...]:
    """The static shape of a tensor expression."""
    return tuple(int(extent) for extent in expr.ty.shape.values)


def permutation(call: relax.Call) -> list[int]:
    """The axes of R.permute_dims, each from 0 on; without any they are those of its operand from the last on."""
    rank = len(shape_of(call.args[0]))
    return list(range(rank))[::-1] if call.attrs.axes is None else [int(axis) % rank for axis in call.attrs.axes]


def attrs_of(expr: relax.Expr) -> dict[str, Any]:
    """The attributes of a call (Octet's or Relax's own) as plain Python values: int, float, str, None and lists of
    them."""
    if expr.attrs is None:
        return {}
    if isinstance(expr.attrs, tvm.ir.DictAttrs):
        return {key: _plain(value) for key, value in expr.attrs.items()}
    names = [field.name for field in type(expr.attrs).__tvm_ffi_type_info__.fields]
    return {name: _plain(getattr(expr.attrs, name)) for name in names}


def is_part(expr: relax.Expr) -> bool:
    """Whether `expr` is one of the two bytes of a float tensor."""
    return is_op(expr, "octet.unary") and attrs_of(expr)["kind"] in PARTS


def _plain(value: Any) -> Any:
    if isinstance(value, (tvm.ir.Array, list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (tvm.tirx.IntImm, tvm.tirx.FloatImm)):
        return value.value
    return value
