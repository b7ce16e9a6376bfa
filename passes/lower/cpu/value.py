"""A tensor of the lowered graph: the variable that holds it, and how its elements lie there."""

from dataclasses import dataclass
from typing import Any

from tvm import relax


@dataclass(frozen=True)
class Value:
    """`var` holds `layout.physical_shape` elements of `layout.storage`."""

    var: relax.Expr
    layout: Any  # Most values have a Layout; the rules for rows also read the View of one.
