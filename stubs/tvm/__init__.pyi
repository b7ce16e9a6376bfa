"""TVM as Octet uses it: the names that `targets`, `passes`, `tuning` and `tools` take from it, and nothing else.

`tests/structure/test_stubs.py` compares every name with the installed TVM. A field is `Any` where its class depends on
the value: a tensor's type has a shape, that of a tuple has fields."""

from collections.abc import Callable
from typing import Any

from . import (
    error as error,
    ir as ir,
    relax as relax,
    runtime as runtime,
    s_tir as s_tir,
    script as script,
    target as _target,
    target as target,
    te as te,
    tirx as tirx,
    transform as transform,
)
from .ir import IRModule as IRModule
from .runtime import Executable

rpc: Any  # This is used only where kernels are measured on other machines.

def compile(
    mod: tirx.PrimFunc | IRModule,
    target: _target.Target | None = ...,
    *,
    relax_pipeline: transform.Pass | Callable[..., Any] | str | None = ...,
    tir_pipeline: transform.Pass | Callable[..., Any] | str | None = ...,
) -> Executable: ...
