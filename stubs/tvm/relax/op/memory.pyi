from collections.abc import Sequence

from ...ir import Call, Expr, Operand

def view(data: Expr, shape: Sequence[Operand] | Expr, dtype: str, relative_byte_offset: Operand | Expr) -> Call: ...
