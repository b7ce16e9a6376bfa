from collections.abc import Callable, Mapping, Sequence

from ..ir import Call, Expr
from ..transform import Pass
from . import BlockBuilder

def DeadCodeElimination(entry_functions: Sequence[str] | None = ...) -> Pass: ...
def LegalizeOps(
    customize_legalize_map: Mapping[str, Callable[[BlockBuilder, Call], Expr]] | None = ...,
    skip_ops: Sequence[str] | None = ...,
) -> Pass: ...
