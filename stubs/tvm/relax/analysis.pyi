from collections.abc import Sequence

from ..ir import Expr, IRModule, Var
from . import Function

def free_vars(expr: Expr) -> Sequence[Var]: ...
def well_formed(obj: IRModule | Function, check_ty: bool = ...) -> None: ...
