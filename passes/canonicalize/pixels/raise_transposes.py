"""Transposes and reshapes of pixels go in front of their mean and deviation, which then stand in front of the first
layer.

permute_dims(f(x, c)) = f(permute_dims(x), permute_dims(c));   reshape(f(x, c)) = f(reshape(x), c) for a lone number c
f: sums and products with constants, pads with zeros, any number of them in a row; x: a Cast of 8-bit integers.

Needs NormalizeArithmetic. Elsewhere transposes stay where they are: constants on the last axis belong to linear layers
there, and have their place in them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tvm import relax
from tvm.ir import Call, IRModule

from ... import ops
from ...ops import permutation, shape_of
from ...rewriting.rule import RewriteGraph, rewrite
from ..questions import known
from .integers import steps_behind


@dataclass(frozen=True)
class RaiseTransposes:
    """Applies only where nobody else reads what lies between, and behind a reshape no constant of several values."""

    def __call__(self, mod: IRModule) -> IRModule:
        """The module with transposes and reshapes of pixels in front of the arithmetic on them."""
        return rewrite(mod, _raise)


def _raise(graph: RewriteGraph, call: relax.Call, var: relax.Var) -> relax.Expr | None:
    if not ops.is_op(call, "relax.permute_dims", "relax.reshape") or not graph.used_once(call.args[0]):
        return None
    found = steps_behind(graph, call.args[0])
    if found is None or not found[0]:
        return None
    steps, pixels = found
    turn = _permuted if ops.is_op(call, "relax.permute_dims") else _kept
    moved = [turn(step, call) for step in steps]
    if None in moved:
        return None
    value = Call(call.op, [pixels, *call.args[1:]], call.attrs, call.ty_args)
    for step in reversed(moved):
        value = step(graph.emit(value))
    return value


def _permuted(step: relax.Expr, call: relax.Call) -> Callable[..., relax.Expr] | None:
    """x -> the step on a tensor with permuted axes."""
    axes, rank = permutation(call), len(shape_of(call.args[0]))
    if ops.is_op(step, "relax.nn.pad"):
        widths = np.reshape([int(width) for width in step.attrs.pad_width], (rank, 2))[axes]
        return lambda x: relax.op.nn.pad(x, widths.ravel().tolist())
    value = known(step.args[1])
    if len(shape_of(step.args[0])) != rank or value.ndim > rank:
        return None
    turned = value.reshape((1,) * (rank - value.ndim) + value.shape).transpose(axes) if value.size > 1 else value
    return lambda x: Call(step.op, [x, relax.const(np.ascontiguousarray(turned))])


def _kept(step: relax.Expr, call: relax.Call) -> Callable[..., relax.Expr] | None:
    if (
        ops.is_op(step, "relax.nn.pad")
        or known(step.args[1]).size > 1
        or known(step.args[1]).ndim > len(shape_of(call))
    ):
        return None
    return lambda x: Call(step.op, [x, step.args[1]])
