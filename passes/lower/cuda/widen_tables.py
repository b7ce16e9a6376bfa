"""WidenTables: a GPU looks up rows of float32, which gives the same bytes.

    octet.embedding(table, scales, i)   ->   R.take(f32(table) * scales, i)

There a look-up is joined with the sum behind it (scalars.py), and a table that is read by rows costs memory, not time.
Tables are constants."""

from dataclasses import dataclass

import numpy as np
from tvm import IRModule, relax

from ... import ops
from ...rewriting.forward import Forward
from ...rewriting.function import replace_main


@dataclass(frozen=True)
class WidenTables:
    """The pass that makes float32 of the int8 tables that octet.embedding looks up."""

    def __call__(self, mod: IRModule) -> IRModule:
        """The module with float32 tables, or `mod` itself where there is no octet.embedding."""
        walk = _Widener(mod["main"])
        return (
            replace_main(mod, walk.run())
            if any(ops.is_op(value, "octet.embedding") for _, value in walk.graph.bindings)
            else mod
        )


class _Widener(Forward):
    def visit(self, var: relax.Var, value: relax.Expr) -> relax.Expr | None:
        if not ops.is_op(value, "octet.embedding"):
            return None
        table, scales = (self.graph.constant(arg) for arg in value.args[:2])
        rows = relax.const(table.astype(np.float32) * scales[:, None])
        return self.emit(relax.op.take(rows, self.new(value.args[2]), 0, mode="clip"), var.name)
