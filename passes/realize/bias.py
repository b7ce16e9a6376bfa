"""Biases on the grid of a layer's sums, and how far that takes a result from what the float bias gives.

A layer's sum of products is a whole number a of steps s = s_x * s_w. With the bias b = (n + e) * s, n = rne(b / s), so
that |e| <= 1/2, and M = s / s_y
    the file has      clip(rne((a + n + e) * M) + z)
    the kernel has    clip(rne((a + n) * M) + z)
Both round, and what they round lies |e| * M apart. If rne(t + d) >= rne(t) + 2, then t <= rne(t) + 1/2 and
t + d >= rne(t) + 3/2, so d >= 1: numbers less than 1 apart become codes at most one step apart, and clipping moves none
apart. So |e| * M < 1 is enough, and M < 2 grants it whatever the bias. LIMIT leaves room for the float32 arithmetic of
either side, a few 2^-24 of numbers that are below 2^9 or clipped on both sides. Beyond, sums are so coarse that a step
of them is several of the result, and a bias may lie in the middle of one: the kernel of such a layer gives its sums in
float32, and what is left of the bias, e * s, is added to them there.

A float32 result is at most s / 2 off by the same rounding. Where a quantizer behind it is finer than that, through
functions that stretch no difference more than fourfold (all activations do), e * s is added as well."""

from typing import TYPE_CHECKING

import numpy as np
from tvm import relax

from .. import ops

if TYPE_CHECKING:
    from ..rewriting.dataflow_graph import DataflowGraph

LIMIT = 0.99
_STRETCH = 4.0


def on_grid(bias: np.ndarray, step: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n int64, e float64) with bias = (n + e) * step. bias, step: [O]."""
    exact = bias.astype(np.float64) / step
    whole = np.rint(exact)
    return whole.astype(np.int64), exact - whole


def finest_scale(graph: "DataflowGraph", var: relax.Var) -> float:
    """The smallest scale to which something is quantised that is computed from a float variable, up to the next layer;
    infinite where nothing is."""
    finest, seen, waiting = np.inf, {var}, [var]
    while waiting:
        for user in graph.users(waiting.pop()):
            call = None if user is None else graph.definition(user)
            if user is None or user in seen:
                continue
            seen.add(user)
            if ops.is_op(call, "relax.quantize"):
                scale = graph.constant(call.args[1])
                finest = finest if scale is None else min(finest, float(np.min(scale)))
            elif not ops.is_op(call, "relax.nn.conv2d", "relax.matmul"):
                waiting.append(user)
    return float(finest)


def is_missed(graph: "DataflowGraph", var: relax.Var, rest: np.ndarray, step: np.ndarray) -> bool:
    """Whether a quantizer behind a float32 result would see what is left of its bias. rest: e, of `on_grid`."""
    largest = float(np.abs(rest * step).max(initial=0.0)) * _STRETCH
    return largest > 0 and largest >= finest_scale(graph, var)
