"""What the gates of an LSTM see of its cell, as one kernel with the step that reads it:

    octet.lstm_state | octet.lstm_output(R.add(x, R.multiply(R.concat(c, c, c, c), weights [1, 4H])), r, c)

weights: constant. Inner results must be read once; every product and sum is rounded as the operators round it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tvm import relax

from .. import ops
from ..ops import shape_of
from ..rewriting.dataflow_graph import DataflowGraph


@dataclass(frozen=True)
class Peepholes:
    """A step of an LSTM whose gates also see the cell.

    call: the step. x: its gates' inputs without what they see of the cell. weights: float32 [1, 4H]."""

    call: relax.Call
    x: relax.Expr
    weights: np.ndarray
    root: relax.Var


def peepholes(graph: DataflowGraph, var: relax.Var, call: relax.Call) -> tuple[Peepholes | None, Sequence[relax.Expr]]:
    """(the chain, its inner variables) of a step of an LSTM; (None, ()) where nothing of the cell is seen."""
    total, _, cell = call.args
    if not ops.is_op(graph.definition(total), "relax.add") or not graph.used_once(total):
        return None, ()
    for x, seen in (graph.definition(total).args, list(graph.definition(total).args)[::-1]):
        product = graph.definition(seen)
        if not ops.is_op(product, "relax.multiply") or not graph.used_once(seen) or shape_of(x) != shape_of(total):
            continue
        cells, weights = product.args[0], graph.constant(product.args[1])
        joined = graph.definition(cells)
        if (
            weights is not None
            and weights.size == weights.shape[-1] == shape_of(total)[1]
            and ops.is_op(joined, "relax.concat")
            and graph.used_once(cells)
            and len(joined.args[0].fields) == 4
            and all(field.same_as(cell) for field in joined.args[0].fields)
        ):
            return Peepholes(call, x, weights.reshape(1, -1), var), [total, seen, cells]
    return None, ()
