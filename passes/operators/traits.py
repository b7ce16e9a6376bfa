"""What passes ask about an operator, beside how it is computed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Traits:
    """The answers that passes need about one operator.

    elementwise: how many operands in front have the shape of the result, up to NumPy's broadcasting; 0 if an element
    depends on more than its own place.
    by_rows: elementwise, with kernels that work on rows, so that axes may be merged for them.
    real_function: a function of real numbers by element, which a table of 256 values can replace.
    homogeneous: f(x * s) = f(x) * s for every factor s > 0.
    wide: its slope or range is unbounded where networks use it, so that 256 steps of either side are not enough.
    monotone: never falls where an operand rises, and each value is an operand's or a fixed bound: it commutes with
    quantisation.
    moves: each value is an operand's (a copy, or the largest of some): the result can have the scale of its operands.
    shrinks: a mover whose result has fewer elements.
    view: only the shape or the order of the axes changes.
    multiplies: sums of products, which dominate the time.
    range: of its values, whatever the operands; None: depends on them.
    samples: how a batch passes through it, by the name of a rule of lower/batch/rules.py; None: it mixes samples.
    counted: the axis of its result along which only the first elements count: how many is known at run time only.
    stays_float: why it never becomes an integer operator; "" if it may."""

    elementwise: int = 0
    by_rows: bool = False
    real_function: bool = False
    homogeneous: bool = False
    wide: bool = False
    monotone: bool = False
    moves: bool = False
    shrinks: bool = False
    view: bool = False
    multiplies: bool = False
    range: tuple[float, float] | None = None
    samples: str | None = None
    counted: int | None = None
    stays_float: str = ""
