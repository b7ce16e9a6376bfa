"""The marks of a loop over the steps of a recurrent layer, whose body stands in `main` like any other bindings.

    t = octet.loop_index(steps, reverse)         the number of the step; it is the loop's identity
    x_t = octet.loop_slice(x, t)                 x[t]
    h = octet.loop_state(start, t, index)        start in the first step, then what next[index] was in the step before
    y = octet.loop_stack(value, t, *next)        value of every step, behind each other at their numbers t
    last = octet.loop_last(value, t, *next)      value of the last step

Every result of a loop names all states that go on, so that what is left of a network holds whole loops.
passes/rewriting/loops.py reads them."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from .attributes import FLAG, integer
from .definition import Arguments, Form, Operand, OperandType, Operator
from .traits import Traits

if TYPE_CHECKING:
    from .attributes import Attribute

_WHY = "it is a mark of a loop"
_F32, _I64 = ("float32",), ("int64",)
_T = Operand("t", _I64)
_NEXT = tuple(Operand(f"next{i}", _F32, optional=True) for i in range(2))


def _operator(
    name: str,
    summary: str,
    operands: tuple[Operand, ...],
    attributes: "dict[str, Attribute]",
    result: Callable[[Arguments], OperandType],
) -> Operator:
    return Operator(f"octet.loop_{name}", summary, (Form(operands, attributes),), result, Traits(stays_float=_WHY))


def _slice(a: Arguments) -> OperandType:
    a.require(len(a.shape(0)) == 3, f"a sequence {a.shape(0)}; expected [steps, rows, columns]")
    return OperandType(a.shape(0)[1:], "float32")


def _state(a: Arguments) -> OperandType:
    a.require(len(a.shape(0)) == 2, f"a state {a.shape(0)}; expected [rows, columns]")
    return a.tensor(0)


def _stack(a: Arguments) -> OperandType:
    a.require(len(a.shape(0)) == 2, f"a value {a.shape(0)}; expected [rows, columns]")
    return OperandType([a.attrs["steps"], *a.shape(0)], "float32")


LOOPS = (
    _operator(
        "index",
        "the number of a loop's step",
        (),
        {"steps": integer(1), "reverse": FLAG},
        lambda a: OperandType([], "int64"),
    ),
    _operator("slice", "the step's part of a sequence", (Operand("x", _F32), _T), {}, _slice),
    _operator(
        "state", "what a step finds of the step before", (Operand("start", _F32), _T), {"index": integer(0, 1)}, _state
    ),
    _operator("stack", "the values of all steps", (Operand("value", _F32), _T, *_NEXT), {"steps": integer(1)}, _stack),
    _operator("last", "the value of the last step", (Operand("value", _F32), _T, *_NEXT), {}, lambda a: a.tensors[0]),
)
