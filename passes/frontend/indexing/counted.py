"""Tensors of which only the first elements along one axis count, as many as are known at run time only
(Traits.counted).

    rows = non_max_suppression(boxes, scores)      rows [n, 3], of which count(rows) are meant
    y = f(rows), f row by row                      ==>    the first count(rows) rows of y are meant

The rules are those by which the samples of a batch stay apart (lower/batch/rules.py): what lies behind the elements
that count reaches no other.
A constant may hold a part of its own for every element, as all of its elements are there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import relax

from ....targets.errors import UnsupportedModelError
from ...lower.batch.analysis import tensors_of
from ...lower.batch.rules import RULES, BatchOperands
from ...lower.batch.sample_axis import BatchAxis, Mixes
from ...operators.registry import traits_of
from ...ops import shape_of


@dataclass(frozen=True)
class Counted:
    """What counts the valid elements along an axis of a tensor.

    source: the variable that counts, along its own axis."""

    source: relax.Var
    axis: BatchAxis


class _PerElement(BatchOperands):
    def align(self, position: int, wanted: BatchAxis) -> None:
        if self.axes[position] is None and shape_of(self.tensors[position])[wanted.axis : wanted.axis + 1] == (
            wanted.extent(self.batch),
        ):
            return
        super().align(position, wanted)


class CountedAxes:
    """Finds the axes along which only the first elements count, how many being known at run time only.

    value_of(variable): what it is bound to, None for a parameter. refuse(variable, reason)
    raises UnsupportedModelError with the node that makes it."""

    def __init__(self, value_of: Callable[[relax.Var], Any], refuse: Callable[..., Any]) -> None:
        self._value_of, self._refuse = value_of, refuse
        self._found: dict[relax.Var, Counted | None] = {}

    def of(self, expr: relax.Expr) -> Counted | None:
        """What counts along an axis of a tensor; None where nothing does. Raises UnsupportedModelError where an
        operator on the way takes more than one element at a time."""
        if not isinstance(expr, relax.Var):
            return None
        pending = [] if expr in self._found else [expr]  # A list is used, as networks are deeper than Python's stack.
        while pending:
            value = self._value_of(pending[-1])
            unknown = [each for each in _operands(value) if isinstance(each, relax.Var) and each not in self._found]
            if unknown:
                pending += unknown
            else:
                var = pending.pop()
                self._found[var] = self._through(var, value)
        return self._found[expr]

    def _through(self, var: relax.Var, value: relax.Expr | None) -> Any:
        if isinstance(value, relax.TupleGetItem):
            return self.of(value.tuple_value)
        if isinstance(value, relax.Var):
            return self.of(value)
        if not isinstance(value, relax.Call):
            return None
        name = value.op.name
        if (axis := traits_of(name).counted) is not None:
            return Counted(var, BatchAxis(axis))
        tensors = tensors_of(value)
        found = [self.of(tensor) for tensor in tensors]
        sources = {each.source for each in found if each is not None}
        if not sources:
            return None
        try:
            return self._rule(value, tensors, found, sources)
        except Mixes as mixes:
            self._refuse(
                var,
                f"takes several of the results whose number is known at run time only ({mixes}); export the network "
                "up to there",
            )

    def _rule(
        self,
        call: relax.Call,
        tensors: list[relax.Expr],
        operands: list[Counted | None],
        sources: set[relax.Var],
    ) -> Counted:
        if len(sources) > 1:
            raise Mixes("its operands count apart")
        if call.op.name not in RULES:
            raise Mixes("has no rule")
        (source,) = sources
        counted = traits_of(self._value_of(source).op.name).counted
        assert counted is not None
        extent = shape_of(source)[counted]
        axes = [None if each is None else each.axis for each in operands]
        axis = RULES[call.op.name](_PerElement(call, extent, tensors, axes, {}))
        return Counted(source, axis)

    def require_known(self, expr: relax.Expr, axes: np.ndarray | range) -> None:
        """Raises UnsupportedModelError where the extent of one of these axes is counted."""
        counted = self.of(expr)
        if counted is not None and counted.axis.axis in axes:
            raise UnsupportedModelError(
                "reads a number of results known at run time only; export the network up to there"
            )

    def of_outputs(self, results: list[Any], emit: Callable[..., relax.Var]) -> tuple[list[Any], list[Any]]:
        """(variables that hold the counts; per output (axis, position of its count) or None). emit(expression,
        name) binds a value."""
        sources: dict[relax.Var, int] = {}
        places: list[tuple[int, int] | None] = []
        for result in results:
            counted = self.of(result)
            if counted is not None and counted.axis.inner != 1:
                self._refuse(
                    result,
                    "joins an axis with one whose extent is known at run time only; export the network up to there",
                )
            places.append(
                None if counted is None else (counted.axis.axis, sources.setdefault(counted.source, len(sources)))
            )
        return [_count(source, self._value_of(source), emit) for source in sources], places


def _operands(value: relax.Expr | None) -> Sequence[relax.Expr | None]:
    """What `_through` asks about."""
    if isinstance(value, relax.TupleGetItem):
        return [value.tuple_value]
    return tensors_of(value) if isinstance(value, relax.Call) else [value]


def _count(source: relax.Var, value: relax.Call, emit: Callable[..., relax.Var]) -> relax.Var:
    """int64 [1]: how many elements of a source count; value: the call that it is bound to."""
    axis = traits_of(value.op.name).counted
    assert axis is not None
    first = emit(relax.op.strided_slice(source, [1 - axis], [0], [1]), "count.first")
    kept = emit(relax.op.greater_equal(first, relax.const(np.int64(0), "int64")), "count.kept")
    ones = emit(relax.op.astype(kept, "int64"), "count.ones")
    return emit(relax.op.reshape(emit(relax.op.sum(ones), "count.sum"), [1]), "count")
