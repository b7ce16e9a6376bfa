from collections.abc import Sequence
from typing import Any

from ...ir import Call, Expr, Operand

def resize2d(data: Expr, size: Operand | Sequence[Operand], **options: Any) -> Call: ...
def grid_sample(data: Expr, grid: Expr, *args: Any, **options: Any) -> Call: ...
