"""What an operator family answers: a group of bindings that becomes one integer operator, or why it does not."""

from dataclasses import dataclass, replace
from typing import Any

from tvm import relax

from .graph import Node


@dataclass(frozen=True, eq=False)
class Group:
    """Operators that one int8 kernel computes together.

    anchor: the operator that gives the group its name. members: all bindings of the group in program order, the
    anchor first (but for a softmax, which comes behind its scale), the last one makes the result. data: the tensors it
    reads as int8. weight/axis: the constant to quantise and its channel axis.
    moves: it only moves data, so its operands and its result share one scale. float_result: it can also hand out
    float32.
    bare: how many of the members are left when the residual add is not fused (0: there is none).
    product: of two computed tensors, the second of which needs zero point 0."""

    anchor: Node
    members: tuple[Node, ...]
    data: tuple[relax.Expr, ...]
    weight: Any = None
    axis: int = -1
    moves: bool = False
    float_result: bool = False
    bare: int = 0
    product: bool = False

    @property
    def result(self) -> relax.Var:
        """The tensor that the group makes; what lies between its members is never stored."""
        return self.members[-1].var

    @property
    def position(self) -> int:
        """Program order of the result: all operands come earlier, all readers later."""
        return self.members[-1].index

    def without_residual(self) -> "Group":
        """The same convolution or linear layer, up to its bias."""
        return replace(self, members=self.members[: self.bare], data=self.data[:1], bare=0)


@dataclass(frozen=True)
class Refusal:
    """Why an operator stays in float; for the user."""

    reason: str
