from typing import Any

from . import ir_builder as ir_builder

tirx: Any

def from_source(
    program: Any, extra_vars: dict[str, Any] | None = ..., check_well_formed: bool = ..., s_tir: bool = ...
) -> Any: ...
