"""octet.unary and octet.interleave in Relax's own operators, for running an fp32 graph with stock TVM.

Not part of the pipeline: the kernels compute these operators directly. Tests and experiments build expanded modules.
"""

import math
from dataclasses import dataclass

import numpy as np
from tvm import relax
from tvm.ir import IRModule

from .. import ops
from ..rewriting.rule import rewrite
from .graph import shape_of

_SAME_NAME = {"sigmoid", "tanh", "exp", "log", "sqrt", "rsqrt", "erf", "abs", "sin", "cos", "floor", "ceil", "round", "sign"}


@dataclass(frozen=True)
class ExpandOctet:
    """Float32 only; the value agrees with passes/unary.py to a few units in the last place."""

    def __call__(self, mod: IRModule) -> IRModule:
        return rewrite(mod, _expand)


def _expand(graph, call, var):
    if ops.is_op(call, "octet.unary"):
        attrs = ops.attrs_of(call)
        return _unary(graph.emit, attrs.pop("kind"), call.args[0], **attrs)
    if ops.is_op(call, "octet.interleave"):
        return _interleave(graph.emit, call.args[0], shape_of(var), **ops.attrs_of(call))
    return None


def _interleave(emit, x, shape, strides, fill):
    n, c, h, w = shape_of(x)
    sh, sw = strides
    cells = emit(relax.op.reshape(x, [n, c, h, 1, w, 1]))
    cells = emit(relax.op.nn.pad(cells, [0] * 7 + [sh - 1] + [0] * 3 + [sw - 1], "constant", fill))
    return relax.op.strided_slice(emit(relax.op.reshape(cells, [n, c, h * sh, w * sw])), [2, 3], [0, 0], shape[2:])


def _number(value):
    return relax.const(np.float32(value))


def _unary(emit, kind, x, alpha=None, beta=None, gamma=None, exponent=None):
    op = relax.op
    if kind in _SAME_NAME:
        return getattr(op, kind)(x)
    if kind == "reciprocal":
        return op.divide(_number(1), x)
    if kind == "power" and exponent == 3.0:
        return op.multiply(emit(op.multiply(x, x)), x)  # TVM's pow of a negative number by 3 is NaN on some targets
    if kind == "power":
        return op.power(x, _number(exponent))
    if kind == "softplus":
        return _softplus(emit, x)
    if kind == "softsign":
        return op.divide(x, emit(op.add(emit(op.abs(x)), _number(1))))
    if kind == "silu":
        return op.multiply(x, emit(op.sigmoid(x)))
    if kind == "mish":
        return op.multiply(x, emit(op.tanh(emit(_softplus(emit, x)))))
    if kind in ("gelu", "gelu_tanh"):
        return _gelu(emit, x, kind)
    if kind == "hard_sigmoid":
        return _hard_sigmoid(emit, x, alpha, beta)
    if kind == "hard_swish":
        return op.multiply(x, emit(_hard_sigmoid(emit, x, 1 / 6, 0.5)))
    if kind == "thresholded_relu":
        return op.where(emit(op.greater(x, _number(alpha))), x, emit(op.multiply(x, _number(0))))
    low, high = emit(op.minimum(x, _number(0))), emit(op.maximum(x, _number(0)))
    if kind == "leaky_relu":
        return op.add(high, emit(op.multiply(low, _number(alpha))))
    inner = emit(op.multiply(low, _number(1 / alpha))) if kind == "celu" else low
    negative = emit(op.multiply(emit(op.add(emit(op.exp(inner)), _number(-1))), _number(alpha)))
    total = op.add(high, negative)
    return op.multiply(emit(total), _number(gamma)) if kind == "selu" else total


def _softplus(emit, x):
    op = relax.op
    decay = emit(op.exp(emit(op.multiply(emit(op.abs(x)), _number(-1)))))
    return op.add(emit(op.maximum(x, _number(0))), emit(op.log(emit(op.add(decay, _number(1))))))


def _gelu(emit, x, kind):
    op = relax.op
    half = emit(op.multiply(x, _number(0.5)))
    if kind == "gelu":
        bend = emit(op.erf(emit(op.multiply(x, _number(math.sqrt(0.5))))))
    else:
        cubic = emit(op.multiply(emit(op.multiply(emit(op.multiply(x, x)), x)), _number(0.044715)))
        bend = emit(op.tanh(emit(op.multiply(emit(op.add(x, cubic)), _number(math.sqrt(2 / math.pi))))))
    return op.multiply(half, emit(op.add(bend, _number(1))))


def _hard_sigmoid(emit, x, alpha, beta):
    line = emit(relax.op.add(emit(relax.op.multiply(x, _number(alpha))), _number(beta)))
    return relax.op.clip(line, 0.0, 1.0)
