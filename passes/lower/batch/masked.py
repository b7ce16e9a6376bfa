"""Which places of a network's results are padding, by the graph: proved as in padding_proof.py, of one shape alone.

An input of rank 2 is a padding mask where no other place changes as long as it holds 0 for a place, whatever the other
inputs hold there, and where that is not so without it."""

from collections.abc import Mapping

import numpy as np
import tvm
from tvm import relax

from ...operators.registry import traits_of
from ...ops import is_op, shape_of
from ...rewriting.dataflow_graph import DataflowGraph
from .padding_proof import ANYTHING, PaddedPlaces, PaddingWalk, VaryingAxis
from .sample_axis import BatchAxis, Mixes

# A softmax or a sum sees all places of an axis, and may look away from some.
_HEEDED_BY = ("relax.nn.softmax", "relax.sum")


def padding_mask(module: tvm.IRModule) -> tuple[str, dict[int, int]] | None:
    """(name of the mask [samples, places], {number of a result: its axis of places}); None where the graph has no
    padding mask. module: canonical fp32."""
    if not any(is_op(value, *_HEEDED_BY) for _, value in DataflowGraph(module["main"]).bindings):
        return None
    params = [param for param in module["main"].params if len(shape_of(param)) >= 2]
    for mask in params:
        places = shape_of(mask)[1]
        if len(shape_of(mask)) == 2 and places > 1 and sum(shape_of(param)[1] == places for param in params) > 1:
            found = _results(module, places, {mask.name: 0.0})
            if found and _results(module, places, {}) is None:
                return mask.name, found
    return None


def kept_places(mask: np.ndarray, axis: int, shape: tuple[int, ...]) -> np.ndarray:
    """Which places are no padding, as bool to be broadcast to results of `shape` [samples, ...]."""
    return (mask != 0).reshape([len(mask), *[-1 if i == axis else 1 for i in range(1, len(shape))]])


class _Alone(PaddingWalk):
    """Of one shape: extents do not differ, so constants and results need not be compared."""

    def _held(self, before: relax.Expr, after: relax.Expr) -> PaddedPlaces:
        return self.seen[after] if isinstance(after, relax.Var) else {}

    def _passed(
        self,
        call: relax.Call,
        tensors: list[relax.Expr],
        places: list[PaddedPlaces],
        group: dict[int, VaryingAxis],
    ) -> PaddedPlaces:
        """A constant beside places has a value for each of them, or one for all."""
        operand, axis = next(iter(group.items()))
        place = axis.at.axis - len(shape_of(tensors[operand]))
        for i, tensor in enumerate(tensors):
            shape = shape_of(tensor)
            if (
                not isinstance(tensor, relax.Var)
                and axis.at.inner == 1
                and len(shape) >= -place
                and shape[place] > 1
                and _aligned(call)
            ):
                own = VaryingAxis(BatchAxis(len(shape) + place), axis.extents)
                group, places = group | {i: own}, [*places[:i], {own: ANYTHING}, *places[i + 1 :]]
        return super()._passed(call, tensors, places, group)

    def _check(self, before: relax.Expr, after: relax.Expr, places: PaddedPlaces) -> None:
        pass


def _aligned(call: relax.Call) -> bool:
    return isinstance(call, relax.Call) and traits_of(call.op.name).samples == "broadcast"


def _results(module: tvm.IRModule, places: int, states: Mapping[str, float]) -> dict[int, int] | None:
    """{number of a result: axis} of those with places that are padding where the inputs hold `states` there; None where
    other places would change."""
    walk = _Alone()
    for param in module["main"].params:
        along = len(shape_of(param)) >= 2 and shape_of(param)[1] == places
        walk.seen[param] = (
            {VaryingAxis(BatchAxis(1), (places, places)): states.get(param.name, ANYTHING)} if along else {}
        )
    bindings = DataflowGraph(module["main"]).bindings
    try:
        for var, value in bindings:
            walk.seen[var] = walk.through(value, value)
    except Mixes:
        return None
    result = module["main"].body.body
    fields = next(
        (value.fields for var, value in bindings if var.same_as(result) and isinstance(value, relax.Tuple)), (result,)
    )
    axes = {number: walk.seen.get(field, {}) for number, field in enumerate(fields) if isinstance(field, relax.Var)}
    return {
        number: next(iter(found)).at.axis
        for number, found in axes.items()
        if len(found) == 1 and next(iter(found)).at.inner == 1
    }
