from collections.abc import Callable, Sequence
from typing import Any

from .ir import IRModule, Node

class Pass(Node):
    def __call__(self, mod: IRModule) -> IRModule: ...

class PassContext(Node):
    def __init__(
        self,
        opt_level: int = ...,
        required_pass: Sequence[str] | None = ...,
        disabled_pass: Sequence[str] | None = ...,
        instruments: Sequence[Any] | None = ...,
        config: dict[str, Any] | None = ...,
    ) -> None: ...
    def __enter__(self) -> PassContext: ...
    def __exit__(self, *exception: object) -> None: ...

class Sequential(Pass):
    def __init__(self, passes: Sequence[Pass] | None = ..., opt_level: int = ..., name: str = ...) -> None: ...

def module_pass(
    pass_func: None = ..., opt_level: int | None = ..., name: str | None = ...
) -> Callable[[Callable[[IRModule, PassContext], IRModule]], Pass]: ...
