"""Attention over many keys divides by the sum of its exponentials behind the product with the values instead of in
front of it:

    softmax(x) @ v   =   (e @ v) / (e @ 1)      e = p * (1 / max(p)) = exp(x - max(x)), p = softmax(x)

Probabilities of n keys are 1 / n on average, and where that is less than a step of 1/255 most of them would be zero,
with much of what the row is made of. The exponentials of a row reach 1, so each has the steps that it needs beside the
largest one; what is rounded is rounded in the sum, too, so a row's weights add up to 1. In fp32 the same function up to
rounding. Kernels compute e as they would compute p (lower/fusion.py). Needs RecognizeSoftmax; nothing may follow that
folds constants into layers."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from tvm import relax
from tvm.ir import IRModule

from .. import ops
from ..ops import shape_of
from ..rewriting.rule import RewriteGraph, rewrite
from .questions import constant, is_float

MANY = 256  # From so many keys on an average probability is less than a step.


@dataclass(frozen=True)
class DivideBehindProduct:
    """Applies where the softmax is over the last axis and the product with a computed tensor is its only reader. least:
    keys from which on."""

    least: int = MANY

    def __call__(self, mod: IRModule) -> IRModule:
        """The module whose softmaxes of `least` keys and more divide behind the product with the values."""
        return rewrite(mod, partial(_divide, self.least))


def attends_to_many(mod: IRModule) -> bool:
    """Whether there is a softmax over MANY places: a network of several shapes then divides behind the product in all
    of them, as their layers are the same ones."""
    calls = (binding.value for binding in mod["main"].body.blocks[0].bindings)
    return any(ops.is_op(call, "relax.nn.softmax") and shape_of(call)[int(call.attrs.axis)] >= MANY for call in calls)


def _divide(least: int, graph: RewriteGraph, call: relax.Call, var: relax.Var) -> relax.Expr | None:
    if not ops.is_op(call, "relax.matmul") or not is_float(var) or constant(call.args[1]) is not None:
        return None
    p = call.args[0]
    softmax = graph.match(p, "relax.nn.softmax")
    if (
        softmax is None
        or not graph.used_once(p)
        or shape_of(p)[-1] < least
        or int(softmax.attrs.axis) % len(shape_of(p)) != len(shape_of(p)) - 1
    ):
        return None
    inverse = graph.emit(ops.call("octet.unary", [graph.emit(relax.op.max(p, [-1], keepdims=True))], kind="reciprocal"))
    e = graph.emit(relax.op.multiply(p, inverse))
    product = graph.emit(relax.Call(call.op, [e, call.args[1]], call.attrs, call.ty_args))
    total = graph.emit(relax.op.matmul(e, relax.const(np.ones((shape_of(p)[-1], 1), np.float32))))
    return relax.op.divide(product, total)
