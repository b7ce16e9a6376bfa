"""Schedules of loop nests that TVM generates."""

from collections.abc import Sequence
from typing import Any

from ..ir import IRModule, Node
from ..tirx import PrimFunc, Stmt

meta_schedule: Any  # This is used only where kernels are tuned.

class SBlock(Stmt):
    body: Any
    iter_vars: Sequence[Any]
    name_hint: str
    def __init__(self, *fields: Any, **options: Any) -> None: ...

class SBlockRealize(Stmt):
    block: Any
    iter_values: Sequence[Any]
    def __init__(self, *fields: Any, **options: Any) -> None: ...

class ScheduleError(Exception): ...

class Schedule(Node):
    mod: IRModule
    trace: Any
    def __init__(self, mod: PrimFunc | IRModule, *, seed: int | None = ..., debug_mask: str | int = ...) -> None: ...
    def __getattr__(self, name: str) -> Any: ...  # A schedule has a hundred primitives, which are not listed.
