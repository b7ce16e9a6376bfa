"""Realize: the QDQ hub becomes the integer graph.

    R.quantize(f(R.dequantize(x, s_x, z_x), ..), s_y, z_y)  ->  octet.f(x, ..; multiplier from the scales)
            f: see the rules
    R.quantize(R.dequantize(x, s, z), s, z)                 ->  x
    R.dequantize of an int8 tensor in front of a float operator, and R.quantize behind one, stay

Runs on the hub: float32 canonical operators, R.quantize / R.dequantize with constant scales and zero points, weights as
dequantised int8 constants. What no rule takes stays in float, with the reason in `Realized.layers`. Every layer in int8
carries its overflow bound.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import TypeVar

import tvm
from tvm import relax

from .. import ops
from ..rewriting.dataflow_graph import rebuild_expr
from ..rewriting.forward import Forward
from ..rewriting.function import replace_main
from ..rewriting.loops import MARKS
from . import conv, elementwise, matmul, movement, pooling, resize, softmax, table
from .chain import Chain, match_chain, peel_clips
from .linear import Refused
from .overflow import Bound
from .requantize import TensorQParams, qparams

_NOT_QUANTISED = "its operands or its result are not quantised"
_MADE = ("octet.interleave", "octet.depth_to_space", "octet.frame")  # No operator of the user's network is one.
_QUIET = ("relax.quantize", "relax.dequantize", *MARKS)


T = TypeVar("T")


@dataclass(frozen=True)
class RealizedLayer:
    """One operator of the integer graph. dtype: "int8" or "float32" (what it computes in); reason: why it is in float,
    else ""; bound: the overflow proof of a convolution, linear layer or matmul, else None."""

    name: str
    operator: str
    dtype: str
    reason: str
    bound: Bound | None


@dataclass(frozen=True)
class Realized:
    """The integer graph, and what became of every layer."""

    module: tvm.IRModule
    layers: tuple[RealizedLayer, ...]


@dataclass(frozen=True)
class Int8Source:
    """An int8 variable of the new function and what it stands for. Hashable."""

    value: relax.Expr
    qparams: TensorQParams


@dataclass(frozen=True)
class Realize:
    """The pass; `realize` gives the layers and their reasons as well."""

    def __call__(self, mod: tvm.IRModule) -> tvm.IRModule:
        """The integer module of a hub: int8 operators, and float ones where no integer form was found."""
        return realize(mod).module


def realize(mod: tvm.IRModule) -> Realized:
    """The integer graph of a QDQ hub, and what became of its layers."""
    realizer = Realizer(mod["main"])
    function, layers = realizer.realized()
    return Realized(replace_main(mod, function), layers)


class Realizer(Forward):
    """The walk. Rules ask it for operands (`source`, `int8`, `float`) and emit through it."""

    def __init__(self, function: relax.Function) -> None:
        super().__init__(function)
        # Maps (old float variable, QParams) to the new int8 variable, or to why there is none.
        self._codes: dict[tuple[relax.Expr, TensorQParams], Refused | relax.Expr] = {}
        # Maps an old variable to the Chain that it ends, which is emitted when a float operator asks for it.
        self._late: dict[relax.Expr, Chain] = {}
        self._reasons: dict[relax.Expr | None, str] = {}  # Says why an old variable is not in int8.
        self._bounds: dict[relax.Expr, Bound] = {}  # Bounds belong to new variables.
        self._origin: dict[relax.Expr, relax.Expr] = {}  # Maps new variables to old ones.
        self._quantised: set[relax.Expr] = set()  # Float variables that are quantised become codes.

    def realized(self) -> tuple[relax.Function, tuple[RealizedLayer, ...]]:
        """(the new function, its layers)."""
        for var, value in self.graph.bindings:
            if ops.is_op(value, "relax.quantize"):
                self.values[var] = self._quantize(var, value)
            else:
                self._bind_float(var, value)
        function, live = self.finish(self.float(self.graph.result))
        self._quantised = {expr.args[0] for _, expr in live if ops.is_op(expr, "relax.quantize")}
        return function, tuple(layer for layer in (self._layer(var, expr) for var, expr in live) if layer is not None)

    # Rules call the methods from here to `_quantize`.

    def source(self, expr: relax.Expr) -> Int8Source | None:
        """The int8 tensor behind a dequantised operand, or None."""
        call = self.graph.definition(expr)
        if not ops.is_op(call, "relax.dequantize") or self.graph.is_constant(call.args[0]):
            return None
        params = qparams(self.graph.constant(call.args[1]), self.graph.constant(call.args[2]))
        if params is None or call.args[0].ty.dtype != "int8":
            return None
        return Int8Source(self.float(call.args[0]), params)

    def int8(self, expr: relax.Expr, out: TensorQParams) -> Refused | relax.Expr:
        """The float operand `expr` of the old function as an int8 tensor with the QParams `out`, or Refused."""
        return self.remember(expr, out, lambda: self._compute_int8(expr, out))

    def remember(
        self, expr: relax.Expr, params: TensorQParams, compute: Callable[[], Refused | relax.Expr]
    ) -> Refused | relax.Expr:
        """The result of compute(), which is called once per (operand, QParams)."""
        key = (expr, params)
        if key not in self._codes:
            self._codes[key] = compute()
        return self._codes[key]

    def convert(self, value: relax.Expr, have: TensorQParams, want: TensorQParams, name: str) -> Refused | relax.Expr:
        """An int8 variable from the QParams `have` to `want`."""
        return elementwise.requantize(self, Int8Source(value, have), -inf, inf, want, name)

    def float(self, expr: relax.Expr) -> relax.Expr:
        """The new expression for an operand of the old function (whatever its type)."""
        if isinstance(expr, relax.Var) and expr in self._late:
            self.values[expr] = self._emit_late(expr, self._late.pop(expr))
        if isinstance(expr, relax.Var) and expr in self.values:
            return self.values[expr]
        if isinstance(expr, relax.Tuple):
            return relax.Tuple([self.float(field) for field in expr.fields])
        constant = self.graph.constant(expr) if isinstance(expr, relax.Var) else None
        return expr if constant is None else relax.const(constant, str(constant.dtype))

    def emit_layer(self, call: relax.Call, root: relax.Expr, bound: Bound) -> relax.Expr:
        """Emits a proved layer under the name of the old variable `root`."""
        var = self.emit(call, root.name)
        self._bounds[var], self._origin[var] = bound, root
        return var

    def emit_behind(self, call: relax.Call, root: relax.Expr) -> relax.Expr:
        """Emits what a layer computes in float behind its kernel, for the reason that the layer `root` has."""
        var = self.emit(call, root.name)
        self._origin[var] = root
        return var

    # The walk itself uses the methods from here on.

    def _quantize(self, var: relax.Var, call: relax.Call) -> relax.Expr:
        out = qparams(self.graph.constant(call.args[1]), self.graph.constant(call.args[2]))
        if out is not None and ops.attrs_of(call)["out_dtype"] == "int8" and not self.graph.is_constant(call.args[0]):
            value = self.int8(call.args[0], out)
            if not isinstance(value, Refused):
                return value
        return self._emit_like(var, call)

    def _bind_float(self, var: relax.Var, value: relax.Expr) -> None:
        """A float binding: a chain that may run on integers waits until somebody needs its float result."""
        if isinstance(value, relax.Tuple):
            self.values[var] = self.float(value)
            return
        if self.graph.is_constant(var):
            return
        chain = match_chain(self.graph, var)
        if chain is not None and chain.residual is None and self.source(chain.call.args[0]) is not None:
            self._late[var] = chain
            return
        if ops.is_op(value, "relax.matmul"):
            product = matmul.realize_matmul(self, var, -inf, inf, None)
            if isinstance(product, relax.Var):
                self.values[var] = product
                return
            self._refuse(var, product)
        self.values[var] = self._emit_like(var, value)

    def _emit_late(self, var: relax.Var, chain: Chain) -> relax.Expr:
        value = self._linear(chain, None)
        return self._emit_like(var, self.graph.definition(var)) if isinstance(value, Refused) else value

    def _emit_like(self, var: relax.Var, value: relax.Expr) -> relax.Expr:
        new = self.emit(rebuild_expr(value, self.float), var.name)
        self._origin[new] = var
        return new

    def _compute_int8(self, expr: relax.Expr, out: TensorQParams) -> Refused | relax.Expr:
        constant = self.graph.constant(expr)
        if constant is not None:
            return relax.const(out.quantize(constant), "int8")
        if not isinstance(expr, relax.Var) or self.graph.position(expr) < 0:
            return Refused("it is an input of the network")
        core, low, high = peel_clips(self.graph, expr)
        source = self.source(core)
        if source is not None:
            return elementwise.requantize(self, source, low, high, out, expr.name)
        chain = self._whole_chain(expr)
        if chain is not None:
            return self._linear(chain, out)
        ways: tuple[Callable[[], Refused | relax.Expr | None], ...] = (
            lambda: table.realize_table(self, expr, out),
            lambda: matmul.realize_matmul(self, core, low, high, out),
            lambda: elementwise.realize_add_mul(self, core, low, high, out),
            lambda: pooling.realize_avg_pool(self, core, low, high, out),
            lambda: resize.realize_resize(self, core, low, high, out),
            lambda: softmax.realize_softmax(self, core, low, high, out),
            lambda: movement.realize_movement(self, expr, out),
        )
        for way in ways:
            value = way()
            if value is not None:
                return self._refuse(core, value)
        if core is not expr:
            value = self.int8(core, out)
            return (
                value
                if isinstance(value, Refused)
                else elementwise.requantize(self, Int8Source(value, out), low, high, out, expr.name)
            )
        return self._refuse(core, Refused("it has no integer form"))

    def _whole_chain(self, expr: relax.Expr) -> Chain | None:
        """The chain that ends in `expr`, if everyone who uses `expr` quantises it, to one scale: else it is computed
        once, in float."""
        chain = match_chain(self.graph, expr)
        users = self.graph.users(expr)
        if chain is None or not all(self._quantised_by(user) for user in users) or len(self._scales(users)) > 1:
            return None
        if chain.residual is not None and self.source(chain.residual) is None:
            return None
        return chain

    def _scales(self, users: Sequence[relax.Expr | None]) -> set[TensorQParams | None]:
        """The different QParams that the R.quantize among these users have."""
        calls = [self.graph.definition(user) for user in users if user is not None]
        return {
            qparams(self.graph.constant(call.args[1]), self.graph.constant(call.args[2]))
            for call in calls
            if ops.is_op(call, "relax.quantize")
        }

    def _quantised_by(self, user: relax.Expr | None) -> bool:
        value = None if user is None else self.graph.definition(user)
        return (
            ops.is_op(value, "relax.quantize") or movement.is_movement(value) or isinstance(value, relax.TupleGetItem)
        )

    def _linear(self, chain: Chain, out: TensorQParams | None) -> Refused | relax.Expr:
        value = conv.realize_conv(self, chain, out)
        value = matmul.realize_dense(self, chain, out) if value is None else value
        assert value is not None, "a chain is a convolution or a product"
        return self._refuse(chain.root, value)

    def _refuse(self, var: relax.Expr, value: T) -> T:
        if isinstance(value, Refused):
            self._reasons.setdefault(var, value.reason)
        return value

    def _layer(self, var: relax.Var, expr: relax.Expr) -> RealizedLayer | None:
        """The report line of a live binding; None for what computes nothing."""
        if not isinstance(expr, relax.Call) or ops.is_op(expr, *_QUIET):
            return None
        operator = expr.op.name
        if operator == "relax.astype" and var in self._quantised and str(expr.args[0].ty.dtype) in ("int8", "uint8"):
            return None  # Integers of 8 bits are their own codes.
        integer = (
            movement.is_movement(expr)
            or (operator.startswith("octet.") or operator == "relax.split")
            and expr.args[0].ty.dtype == "int8"
        )
        if operator in _MADE or (integer and not operator.startswith("octet.")):
            return None
        reason = "" if integer else self._reasons.get(self._origin.get(var), _NOT_QUANTISED)
        return RealizedLayer(var.name, operator, "int8" if integer else "float32", reason, self._bounds.get(var))
