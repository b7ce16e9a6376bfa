"""Whether results change where an axis is padded: proved on the canonical fp32 graphs of two shapes, walked side by
side, or the operator that forbids it.

    for every tensor: that of the larger shape, cut to the extents of the smaller one, is that of the smaller one

An axis is one whose extents differ. What an operator does place by place keeps that true (the rules of a batch say so:
slices of the operands give slices of the result). A sum over the axis keeps it where the padded places hold 0; a
softmax where they lie FAR below the others, which makes them 0. What the padded places hold is followed from the
inputs' values on. What is assumed: everything is finite, scores differ by hundreds and not by FAR, and no mask keeps
nothing."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import tvm
from tvm import relax

from ....targets.seams import Attrs
from ...operators.registry import traits_of
from ...ops import attrs_of, shape_of
from ...rewriting.dataflow_graph import DataflowGraph
from .analysis import tensors_of
from .rules import RULES, BatchOperands
from .sample_axis import BatchAxis, Mixes

FAR = -1000.0
ANYTHING = "rest"  # Padded places hold any finite values; instead of this it may be a number, or _BELOW.
_BELOW = "below"  # Padded places hold values below FAR.


class _Nothing(float):
    """0 where no other place holds less: of a softmax."""


NOTHING = _Nothing(0.0)
_SHAPED = ("relax.reshape", "relax.broadcast_to")  # A shape is among the operands of these.
_AS_NUMPY = (
    "add subtract multiply divide negative minimum maximum less less_equal greater greater_equal equal not_equal "
    "logical_not logical_and isnan"
)
_FUNCTIONS = {f"relax.{name}": getattr(np, name) for name in _AS_NUMPY.split()} | {"relax.astype": np.asarray}


@dataclass(frozen=True)
class VaryingAxis:
    """An axis of a tensor whose extent depends on the shape of the inputs. at: in the larger shape. extents: of the
    dimension, in the smaller and the larger shape."""

    at: BatchAxis
    extents: tuple[int, int]


PaddedPlace: TypeAlias = Any  # ANYTHING, _BELOW, or the value says what a padded place holds.
PaddedPlaces = dict[VaryingAxis, PaddedPlace]


def why_padding_shows(small: tvm.IRModule, large: tvm.IRModule, pads: Mapping[str, float]) -> str | None:
    """None where results for inputs of the smaller shape are those of the larger one with them padded (`pads`, by
    input), cut back; else the operator that the proof stops at, and why."""
    walk = PaddingWalk()
    for a, b in zip(small["main"].params, large["main"].params, strict=True):
        walk.seen[b] = {axis: pads.get(b.name, ANYTHING) for axis in _differing(shape_of(a), shape_of(b))}
    graphs = [DataflowGraph(module["main"]).bindings for module in (small, large)]
    if len(graphs[0]) != len(graphs[1]):
        return "its graph has other operators for another shape"
    for (_, before), (b, after) in zip(*graphs):
        try:
            walk.seen[b] = walk.through(before, after)
        except Mixes as reason:
            return (
                f"{_operator(after).removeprefix('relax.')} {b.name!r} "
                f"{str(reason).replace('the batch', 'the padded axis')}"
            )
    return None


def _differing(a: tuple[int, ...], b: tuple[int, ...]) -> list[VaryingAxis]:
    if len(a) != len(b):
        raise Mixes("has another rank for another shape")
    return [VaryingAxis(BatchAxis(i), (m, n)) for i, (m, n) in enumerate(zip(a, b)) if m != n]


class PaddingWalk:
    """What padded places hold, variable by variable in program order."""

    def __init__(self) -> None:
        # Maps a variable of the larger graph to {VaryingAxis: what its padded places hold}; for a tuple this is of all
        # its fields.
        self.seen: dict[relax.Expr, PaddedPlaces] = {}

    def through(self, before: relax.Expr, after: relax.Expr) -> PaddedPlaces:
        """What an operator leaves in the padded places of its result. Raises Mixes where that depends on them."""
        if type(before) is not type(after):
            raise Mixes("is another operator for another shape")
        if isinstance(after, relax.Tuple):
            return {}
        if isinstance(after, relax.TupleGetItem):
            return self.seen[after.tuple_value]
        if isinstance(after, (relax.Var, tvm.ir.GenericConst)):
            return self._held(before, after)
        if after.op != before.op:
            raise Mixes("is another operator for another shape")
        if attrs_of(before) != attrs_of(after) or _operator(after) not in _SHAPED and _others(before) != _others(after):
            raise Mixes("has attributes that depend on the shape")
        tensors = tensors_of(after)
        held = [self._held(a, b) for a, b in zip(tensors_of(before), tensors, strict=True)]
        found: PaddedPlaces = {}
        for group in _groups(after, tensors, held):
            found |= self._passed(after, tensors, held, group)
        self._check(before, after, found)
        return found

    def _held(self, before: relax.Expr, after: relax.Expr) -> PaddedPlaces:
        if isinstance(after, relax.Var):
            return self.seen[after]
        a, b = before.value.numpy(), after.value.numpy()
        axes = _differing(a.shape, b.shape)
        if not np.array_equal(b[tuple(map(slice, a.shape))], a, equal_nan=a.dtype.kind == "f"):
            raise Mixes("has constants that depend on the shape")
        rest = {axis: np.take(b, range(axis.extents[0], axis.extents[1]), axis.at.axis) for axis in axes}
        return {axis: _common(part) for axis, part in rest.items()}

    def _passed(
        self,
        call: relax.Expr,
        tensors: list[relax.Expr],
        places: list[PaddedPlaces],
        group: dict[int, VaryingAxis],
    ) -> PaddedPlaces:
        """{axis of the result: what it holds} of operands' axes that are one: group is {operand: Axis}."""
        states = {i: places[i][axis] for i, axis in group.items()}
        found = _summed(call, tensors, group, states)
        if found is not None:
            return found
        if _operator(call) not in RULES:
            raise Mixes("is not known to treat positions apart")
        extents = next(iter(group.values())).extents
        axes = [group[i].at if i in group else None for i in range(len(tensors))]
        result = RULES[_operator(call)](BatchOperands(call, extents[1], tensors, axes, {}))
        return {VaryingAxis(result, extents): _state(call, tensors, states)}

    def _check(self, before: relax.Expr, after: relax.Expr, places: PaddedPlaces) -> None:
        """Every extent that differs is one of the axes found."""
        types = (
            [(before.ty, after.ty)]
            if isinstance(after.ty, relax.TensorType)
            else list(zip(before.ty.fields, after.ty.fields))
        )
        known = {axis.at.axis: axis for axis in places}
        for a, b in types:
            for i, (m, n) in enumerate(zip(a.shape.values, b.shape.values, strict=True)):
                wanted = tuple(extent * known[i].at.inner for extent in known[i].extents) if i in known else None
                if (int(m), int(n)) != wanted and int(m) != int(n):
                    raise Mixes("has a result with other extents")


def _operator(value: relax.Expr) -> str:
    return value.op.name if isinstance(value, relax.Call) else type(value).__name__


def _others(call: relax.Expr) -> list[str]:
    """Operands that are no tensors, as text."""
    known = (relax.Var, tvm.ir.GenericConst)
    return [
        str(arg)
        for arg in call.args
        if not isinstance(arg, known)
        and not (isinstance(arg, relax.Tuple) and any(isinstance(field, known) for field in arg.fields))
    ]


def _groups(
    call: relax.Expr,
    tensors: list[relax.Expr],
    places: list[PaddedPlaces],
) -> list[dict[int, VaryingAxis]]:
    """Axes of operands that are one axis of the work: [{operand: Axis}]. Where operands are aligned, they are aligned
    from the last axis on."""
    name = _operator(call)
    found: dict[Hashable, dict[int, VaryingAxis]] = {}
    aligned = traits_of(name).samples in ("broadcast", "concat")
    for i, axes in enumerate(places):
        rank = len(shape_of(tensors[i]))
        for axis in axes:
            place = axis.at.axis - rank
            key: Hashable
            if name == "relax.matmul" and rank > 1:
                key = "sum" if place == (-1, -2)[i] else ("rows", "columns")[i] if place >= -2 else place
            else:
                key = place if aligned else (i, place)
            found.setdefault(key, {})[i] = axis
    return list(found.values())


def _summed(
    call: relax.Expr, tensors: list[relax.Expr], group: dict[int, VaryingAxis], states: dict[int, PaddedPlace]
) -> PaddedPlaces | None:
    """The result's axes where the work sums over the axis or takes its beginning, and does not see what is padded; None
    where it is no such work."""
    name, rank = _operator(call), len(shape_of(tensors[0]))
    attrs, (operand, axis) = attrs_of(call), next(iter(group.items()))
    at = axis.at.axis
    if (
        name == "relax.matmul"
        and len(group) == 2
        and at == rank - 1
        or name == "relax.sum"
        and at in _axes(attrs, rank)
    ):
        if 0.0 not in states.values():
            raise Mixes("sums over the padded places, which are not known to be 0")
        return {}
    if name == "relax.nn.softmax" and at == attrs["axis"] % rank:
        if not _is_far(states[0]):
            raise Mixes("sums over the padded places, which nothing masks")
        return {axis: NOTHING}
    if name == "relax.max" and at in _axes(attrs, rank) and isinstance(states[0], _Nothing):
        return {}
    if name == "relax.strided_slice" and at in (sliced := [int(each.value) % rank for each in call.args[1].fields]):
        begin, step = (int(call.args[i].fields[sliced.index(at)].value) if len(call.args) > i else 1 for i in (2, 4))
        if begin < 0 or step < 1:
            raise Mixes("takes places counted from the end")
        return {}  # A slice takes the same places in both shapes, as its result has to have the same extent.
    if (
        name == "relax.take"
        and operand == 0
        and at == attrs["axis"] % rank
        and isinstance(tensors[1], tvm.ir.GenericConst)
    ):
        if (
            not 0
            <= tensors[1].value.numpy().min(initial=0)
            <= tensors[1].value.numpy().max(initial=0)
            < axis.extents[0]
        ):
            raise Mixes("takes places counted from the end")
        return {}
    return None


def _axes(attrs: Attrs, rank: int) -> set[int]:
    given = attrs["axis"]
    return {axis % rank for axis in ((given,) if isinstance(given, int) else given or range(rank))}


def _is_far(state: PaddedPlace) -> bool:
    return state == _BELOW or state != ANYTHING and state <= FAR


def _state(call: relax.Expr, tensors: list[relax.Expr], states: dict[int, float | str]) -> float | str:
    """What the padded places of a result hold. states: by operand, of those that have such places."""
    name = _operator(call)
    if traits_of(name).view or name == "relax.broadcast_to":
        return states[0]
    values = [states[i] if i in states else _scalar(tensor) for i, tensor in enumerate(tensors)]
    if name == "relax.concat":
        return values[0] if values.count(values[0]) == len(values) else ANYTHING
    if name == "relax.where":
        return ANYTHING if isinstance(values[0], str) else values[1] if values[0] else values[2]
    if name in ("relax.multiply", "relax.logical_and") and 0.0 in values:
        return 0.0
    if name in _FUNCTIONS and not any(isinstance(value, str) for value in values):
        return float(np.dtype(str(call.ty.dtype)).type(_FUNCTIONS[name](*values)))
    if (
        name == "relax.add"
        and any(map(_is_far, values))
        or name == "relax.subtract"
        and _is_far(values[0])
        and not _is_far(values[1])
    ):
        return _BELOW
    return ANYTHING


def _scalar(tensor: relax.Expr) -> float | str:
    """The value of a constant that holds nothing else."""
    return _common(tensor.value.numpy()) if isinstance(tensor, tvm.ir.GenericConst) else ANYTHING


def _common(values: np.ndarray) -> float | str:
    """What every place holds, if that is one value."""
    return float(values.flat[0]) if values.size and (values == values.flat[0]).all() else ANYTHING
