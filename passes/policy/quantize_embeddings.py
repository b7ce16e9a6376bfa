"""QuantizeEmbeddings: tables that networks look rows up in are kept in int8, a scale per row.

    R.take(table f32 [N, K], i, axis=0)   ->   octet.embedding(table int8 [N, K], scale f32 [N], i)

where what rounding the table adds is at most `_SHARE` of what the layers behind it add when they round their data to
int8; or where nothing is rounded, as a file gives the integers. An error travels from the rows to the first R.quantize
on every way: sums and what only moves or bounds data hand it on, a normalisation divides it by the spread of the row
(other summands are taken not to cancel it). Where errors of the layers themselves have joined, in the sum around a
block, they decide, and the way ends.

Must run on the hub: that has the scales. In a network whose layers stay in float nothing is rounded, so tables stay
float32 as well."""

from dataclasses import dataclass

import numpy as np
from tvm import IRModule, relax

from .. import ops
from ..operators.registry import operators
from ..rewriting.dataflow_graph import DataflowGraph, variables
from ..rewriting.forward import Forward
from ..rewriting.function import replace_main
from ..rewriting.grids import Grid, file_scales, grids_of

_SHARE = 0.5  # Rounding the table may add this part of what rounding the layers' data adds.
_LEAST = 1 << 16  # A table of fewer elements is less than a layer's weights.
_NARROWEST, _MOST = 16, 1 << 31
_HANDS_ON = operators(lambda traits: traits.moves or traits.monotone)


@dataclass(frozen=True)
class Embedded:
    """A network whose embeddings were quantised as far as they can be.

    kept: identity of every look-up that stays in float -> why."""

    module: IRModule
    kept: dict[str, str]


@dataclass(frozen=True)
class QuantizeEmbeddings:
    """The pass; `quantize_embeddings` gives the reasons as well. given: whether the network comes quantised: then a
    table is int8 only where the file has it so."""

    given: bool = False

    def __call__(self, mod: IRModule) -> IRModule:
        """The module with int8 tables where they are worth it."""
        return quantize_embeddings(mod, self.given).module


def quantize_embeddings(mod: IRModule, given: bool = False) -> Embedded:
    """The hub with its tables in int8, and the reasons of those that are not."""
    graph, grids = DataflowGraph(mod["main"]), grids_of(mod)
    decided = {
        var.name: _decided(graph, grids, given, var, value)
        for var, value in graph.bindings
        if ops.is_op(value, "relax.take")
    }
    tables = {name: table for name, table in decided.items() if not isinstance(table, str)}
    module = replace_main(mod, _Rewriter(mod["main"], tables).run()) if tables else mod
    return Embedded(module, {name: reason for name, reason in decided.items() if isinstance(reason, str)})


def _decided(
    graph: DataflowGraph, grids: list[Grid], given: bool, var: relax.Var, call: relax.Call
) -> tuple[np.ndarray, np.ndarray] | str:
    """(table int8, scales) of a look-up, or the reason against."""
    reason = _shape_reason(graph, call)
    if reason:
        return reason
    table = graph.constant(call.args[0])
    scales = file_scales(table, 0, grids)
    if scales is not None:
        return _codes(table, scales), scales
    if given:
        return "its table is float32 in a file that comes quantised"
    largest = np.abs(table).max(axis=1)
    scales = np.where(largest > 0, largest / np.float32(127), np.float32(1)).astype(np.float32)
    codes = _codes(table, scales)
    reason = _Ways(graph, var, table, codes.astype(np.float32) * scales[:, None] - table).reason()
    return reason or (codes, scales)


class _Rewriter(Forward):
    def __init__(self, function: relax.Function, quantized: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
        super().__init__(function)
        self._quantized = quantized

    def visit(self, var: relax.Var, value: relax.Expr) -> relax.Expr | None:
        if var.name not in self._quantized or not ops.is_op(value, "relax.take"):
            return None
        table, scales = self._quantized[var.name]
        return self.emit(
            ops.call("octet.embedding", [relax.const(table), relax.const(scales), self.new(value.args[1])]), var.name
        )


class _Ways:
    """The ways from one look-up to the operators that read it. errors: of the table's elements, float32 [N, K]."""

    def __init__(self, graph: DataflowGraph, var: relax.Var, table: np.ndarray, errors: np.ndarray) -> None:
        self._graph, self._var = graph, var
        energy = np.square(errors, dtype=np.float64).mean(1)
        self._error = float(energy.mean())
        self._relative = {
            "relax.nn.layer_norm": _ratio(energy, table.var(1, dtype=np.float64)),
            "relax.nn.rms_norm": _ratio(energy, np.square(table, dtype=np.float64).mean(1)),
        }
        self._reached, self._judged = _behind(graph, var), 0

    def reason(self) -> str:
        """Why the table stays in float; "" if it need not."""
        waiting, seen = [(self._var, self._error, False)], set()
        while waiting:
            var, energy, normalised = waiting.pop()
            for user in self._graph.users(var):
                if user is None:
                    return "its rows are a result of the network"
                if (user, normalised) in seen:
                    continue
                seen.add((user, normalised))
                found = self._through(var, user, energy, normalised)
                if isinstance(found, str):
                    return found
                if found is not None:
                    waiting.append((user, *found))
        return "" if self._judged else "no layer behind it is in int8"

    def _through(
        self, var: relax.Var, user: relax.Expr, energy: float | np.float64, normalised: bool
    ) -> tuple[float | np.float64, bool] | str | None:
        """(energy, whether it is behind a normalisation) in what `user` computes; None where the way ends; or the
        reason against."""
        call = self._graph.definition(user)
        if ops.is_op(call, "relax.quantize"):
            self._judged += 1
            own = np.square(self._graph.constant(call.args[1]), dtype=np.float64).mean() / 12
            return (
                None
                if energy <= _SHARE * own
                else (
                    f"its rows in int8 would add {energy / own:.3g} times the error of the layer behind "
                    f"({_SHARE:g} is the most)"
                )
            )
        if (
            ops.is_op(call, *ops.NORMS)
            and not normalised
            and [axis % len(call.ty.shape.values) for axis in ops.attrs_of(call)["axes"]]
            == [len(call.ty.shape.values) - 1]
        ):
            factors = self._graph.constant(call.args[1])
            return (
                "a normalisation behind it has computed factors"
                if factors is None
                else (self._relative[call.op.name] * np.square(factors, dtype=np.float64).mean(), True)
            )
        if ops.is_op(call, "relax.add", "relax.subtract"):
            others = [arg for arg in call.args if not arg.same_as(var)]
            return (
                None if any(arg in self._reached for arg in others) else (energy * (2 - len(others)) ** 2, normalised)
            )
        if (
            ops.is_op(call, "relax.multiply", "relax.divide")
            and call.args[0].same_as(var)
            and (factor := self._graph.constant(call.args[1])) is not None
        ):
            largest = float(np.abs(factor if ops.is_op(call, "relax.multiply") else 1 / factor).max())
            return energy * largest**2, normalised
        if isinstance(call, relax.TupleGetItem) or isinstance(call, relax.Call) and call.op.name in _HANDS_ON:
            return energy, normalised
        return (
            f"{call.op.name.removeprefix('relax.') if isinstance(call, relax.Call) else 'a tuple'} reads its rows in "
            "float"
        )


def _shape_reason(graph: DataflowGraph, call: relax.Call) -> str:
    table, axis = graph.constant(call.args[0]), ops.attrs_of(call)["axis"]
    if table is None or table.dtype != np.float32:
        return "a look-up only copies rows"
    if table.ndim != 2 or axis not in (0, -2) or table.shape[1] < _NARROWEST or ops.attrs_of(call)["mode"] != "clip":
        return "its table has no rows of its own"
    if str(call.args[1].ty.dtype) not in ("int32", "int64") or table.size >= _MOST:
        return "its table or its indices have no int8 form"
    if table.size < _LEAST:
        return f"its table has {table.size} elements, too few to matter"
    return "" if np.isfinite(table).all() else "its table holds infinite values"


def _codes(table: np.ndarray, scales: np.ndarray) -> np.ndarray:
    return np.rint(table / scales[:, None]).astype(np.int8)


def _ratio(energy: np.ndarray, spread: np.ndarray) -> float:
    """Mean of energy / spread over the rows; a row that has no error counts as 0."""
    return float(np.divide(energy, spread, out=np.where(energy > 0, np.inf, 0.0), where=spread > 0).mean())


def _behind(graph: DataflowGraph, first: relax.Expr) -> set[relax.Expr]:
    """The variables that depend on one."""
    found = {first}
    for var, value in graph.bindings:
        if any(each in found for each in variables(value)):
            found.add(var)
    return found
