"""Operators whose indices are known at run time only. Those that keep some of their candidates have room for all of
them in the result, and -1 behind those that were kept. Equations: passes/ops.py."""

from math import prod
from typing import TYPE_CHECKING

from .attributes import FLAG, integer, real
from .definition import Form, Operand, OperandType, Operator
from .traits import Traits

if TYPE_CHECKING:
    from .definition import Arguments

_FLOAT = "whom it keeps is decided on the float values"


def _non_max_suppression(a: "Arguments") -> OperandType:
    boxes, scores = a.shape(0), a.shape(1)
    fits = len(boxes) == len(scores) == 3 and boxes[0] == scores[0] and boxes[1:] == [scores[2], 4]
    a.require(fits, f"boxes {boxes} and scores {scores}; expected [batch, n, 4] and [batch, classes, n]")
    return OperandType([scores[0] * scores[1] * min(a.attrs["most"], scores[2]), 3], "int64")


def _scatter_add(a: "Arguments") -> OperandType:
    data, updates, numbers = a.shape(0), a.shape(1), a.shape(2)
    fits = len(data) == len(updates) == 2 and data[1] == updates[1] and numbers == updates[:1]
    a.require(fits, f"data {data}, updates {updates}, numbers {numbers}; expected [rows, n], [count, n] and [count]")
    return OperandType(data, "float32")


def _nonzero(a: "Arguments") -> OperandType:
    return OperandType([len(a.shape(0)), prod(a.shape(0))], "int64")


SELECTION = (
    Operator(
        "octet.scatter_add",
        "rows with others added to them, by their numbers",
        forms=(
            Form(
                (
                    Operand("data", ("float32",)),
                    Operand("updates", ("float32",)),
                    Operand("numbers", ("int32", "int64")),
                ),
                {},
            ),
        ),
        result=_scatter_add,
        traits=Traits(stays_float="sums of rows whose number is known at run time only are float"),
    ),
    Operator(
        "octet.non_max_suppression",
        "the boxes of highest score that overlap with no better one of their class",
        forms=(
            Form(
                (Operand("boxes", ("float32",)), Operand("scores", ("float32",))),
                {"most": integer(1), "overlap": real(), "threshold": real(optional=True), "centers": FLAG},
            ),
        ),
        result=_non_max_suppression,
        traits=Traits(counted=0, stays_float=_FLOAT),
    ),
    Operator(
        "octet.nonzero",
        "the places of what is true",
        forms=(Form((Operand("x", ("bool",)),), {}),),
        result=_nonzero,
        traits=Traits(counted=1, stays_float=_FLOAT),
    ),
)
