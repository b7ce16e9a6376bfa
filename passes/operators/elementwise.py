"""Operators that work element by element. Equations: passes/ops.py; the functions of octet.unary: passes/unary.py."""

from typing import Any

from ..unary import KINDS, PARAMETERS
from .attributes import CLIP_INT8, ZERO_POINT, choice, real
from .definition import Arguments, Form, Operand, OperandType, Operator
from .shapes import broadcast, same
from .traits import Traits

_STORE = {"out_zero_point": ZERO_POINT, "clip_min": CLIP_INT8, "clip_max": CLIP_INT8}
_PAIR = (Operand("a", ("int8",)), Operand("b", ("int8",)))
_PAIR_ATTRS = {"a_zero_point": ZERO_POINT, "b_zero_point": ZERO_POINT} | _STORE
_X = Operand("x", ("int8",))
_FLOAT = Operand("x", ("float32",))


def _both(a: Arguments) -> OperandType:
    return OperandType(broadcast(a, a.shape(0), a.shape(1)), "int8")


def _table(a: Arguments) -> OperandType:
    shape, table = a.shape(0), a.shape(1)
    per_channel = len(shape) in (2, 4) and table == [shape[1], 256]
    a.require(
        table == [256] or per_channel,
        f"a table {table} for {shape}; expected [256], or [C, 256] for a tensor of rank 2 or 4",
    )
    return a.tensor(0)


def _softmax(a: Arguments) -> OperandType:
    a.require(a.shape(1) == [256] and len(a.shape(0)) > 0, f"a table {a.shape(1)} for {a.shape(0)}; expected [256]")
    return a.tensor(0)


def _check_unary(a: Arguments) -> None:
    kind, given = a.attrs["kind"], sorted(set(a.attrs) - {"kind"})
    a.require(
        given == sorted(PARAMETERS.get(kind, ())),
        f"kind={kind!r} with parameters {given}; expected {sorted(PARAMETERS.get(kind, ()))}",
    )


def _bfloat16(a: Arguments) -> OperandType:
    return OperandType(a.shape(0), "bfloat16")


def _bits(a: Arguments) -> OperandType:
    return OperandType(a.shape(0), "int32" if a.tensors[0].dtype == "float32" else "float32")


def _state(a: Arguments) -> OperandType:
    gates, state = a.shape(0), a.shape(2)
    a.require(
        len(gates) == len(state) == 2 and a.shape(1) == gates and gates[0] == state[0],
        f"gates {gates} and {a.shape(1)} for a state {state}",
    )
    return a.tensor(2)


def _step(name: str, summary: str, state: str, **traits: Any) -> Operator:
    operands = tuple(Operand(each, ("float32",)) for each in ("x", "r", state))
    return Operator(name, summary, (Form(operands, {}),), _state, Traits(samples="broadcast", **traits))


_FUNCTION = {"kind": choice(*sorted(KINDS))}
_FUNCTION |= {name: real(finite=False, optional=True) for names in PARAMETERS.values() for name in names}

ELEMENTWISE = (
    Operator(
        "octet.add",
        "sum",
        forms=(Form(_PAIR, _PAIR_ATTRS | {"a_multiplier": real(), "b_multiplier": real()}),),
        result=_both,
        traits=Traits(elementwise=2, by_rows=True, samples="broadcast"),
    ),
    Operator(
        "octet.mul",
        "product",
        forms=(Form(_PAIR, _PAIR_ATTRS | {"multiplier": real(low=0)}),),
        result=_both,
        traits=Traits(elementwise=2, by_rows=True, samples="broadcast"),
    ),
    Operator(
        "octet.requantize",
        "another scale and zero point",
        forms=(Form((_X,), {"data_zero_point": ZERO_POINT, "multiplier": real(low=0)} | _STORE),),
        result=same,
        traits=Traits(elementwise=1, by_rows=True, samples="same"),
    ),
    Operator(
        "octet.table",
        "any function of one int8 tensor, looked up",
        forms=(Form((_X, Operand("table", ("int8",))), {}),),
        result=_table,
        traits=Traits(elementwise=1, by_rows=True, samples="per_channel"),
    ),
    Operator(
        "octet.softmax",
        "over the last axis, in whole numbers",
        forms=(Form((_X, Operand("table", ("int32",))), {"levels": choice(127, 255), "out_zero_point": ZERO_POINT}),),
        result=_softmax,
        traits=Traits(samples="along"),
    ),
    Operator(
        "octet.unary",
        "a scalar function of passes/unary.py",
        forms=(Form((_FLOAT,), _FUNCTION),),
        result=same,
        traits=Traits(elementwise=1, by_rows=True, real_function=True, samples="same"),
        check=_check_unary,
    ),
    Operator(
        "octet.bfloat16",
        "rounded",
        forms=(Form((_FLOAT,), {}),),
        result=_bfloat16,
        traits=Traits(elementwise=1, samples="same"),
    ),
    Operator(
        "octet.bits",
        "the same bits, read as a number of the other kind",
        forms=(Form((_FLOAT,), {}), Form((Operand("x", ("int32",)),), {})),
        result=_bits,
        traits=Traits(elementwise=1, samples="same", stays_float="bits have no scale"),
    ),
    _step(
        "octet.lstm_state",
        "the cell state of an LSTM's next step",
        "c",
        stays_float="the state of an LSTM stays in float: rounding it would add up over the steps",
    ),
    _step(
        "octet.lstm_output",
        "the hidden state that belongs to a cell state",
        "c",
        range=(-1.0, 1.0),
        stays_float="the gates of an LSTM stay in float, with its state",
    ),
    _step(
        "octet.gru_output",
        "the hidden state of a GRU's next step",
        "h",
        range=(-1.0, 1.0),
        stays_float="the state of a GRU stays in float: rounding it would add up over the steps",
    ),
)
