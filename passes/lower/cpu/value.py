"""A tensor of the lowered graph."""

from dataclasses import dataclass

from tvm import relax

from ....targets.x86.layout import Layout
from ....targets.x86.view import View


@dataclass(frozen=True)
class Value:
    """`var` holds `layout.physical_shape` elements of `layout.storage`."""

    var: relax.Expr
    layout: Layout | View
