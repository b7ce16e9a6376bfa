"""Graphs of tensors."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from ..ir import (
    BaseFunc,
    Call as Call,
    Expr as Expr,
    GenericConst,
    GlobalVar,
    IRModule,
    Node,
    Operand,
    Tuple as Tuple,
    TupleGetItem as TupleGetItem,
    TupleType as TupleType,
    Type as Type,
    Var as Var,
)
from . import analysis as analysis, frontend as frontend, op as op, transform as transform

class DataflowVar(Var): ...

class TensorType(Type):
    shape: Any
    dtype: Any
    ndim: int
    def __init__(
        self,
        shape: Sequence[Operand] | Expr | None = ...,
        dtype: str | None = ...,
        vdevice: object = ...,
        ndim: int = ...,
    ) -> None: ...

class ShapeType(Type):
    values: Any
    ndim: int
    def __init__(self, values: Sequence[Operand] | None = ..., ndim: int = ...) -> None: ...

class ShapeExpr(Expr):
    values: Sequence[Any]
    def __init__(self, values: Sequence[Operand]) -> None: ...

class VarBinding(Node):
    var: Var
    value: Any
    def __init__(self, var: Var, value: Expr) -> None: ...

class BindingBlock(Node):
    bindings: Sequence[Any]

class DataflowBlock(BindingBlock):
    def __init__(self, bindings: Sequence[VarBinding]) -> None: ...

class SeqExpr(Expr):
    blocks: Sequence[Any]
    body: Any
    def __init__(self, blocks: Sequence[BindingBlock], body: Expr) -> None: ...

class Function(BaseFunc):
    body: Any
    ret_ty: Any
    is_pure: bool
    def __init__(
        self,
        params: Sequence[Var],
        body: Expr,
        ret_ty: Type | None = ...,
        is_pure: bool = ...,
        attrs: object = ...,
    ) -> None: ...
    def script(self, **options: Any) -> str: ...

class BlockBuilder(Node):
    def __init__(self, mod: IRModule | None = ...) -> None: ...
    def function(
        self, name: str, params: Sequence[Var] | None = ..., attrs: Mapping[str, Any] | None = ..., **options: Any
    ) -> AbstractContextManager[None]: ...
    def dataflow(self) -> AbstractContextManager[None]: ...
    def emit(self, expr: Expr, name_hint: str = ...) -> Var: ...
    def emit_output(self, output: Expr | Sequence[Expr], name_hint: str = ...) -> Var: ...
    def emit_func_output(self, output: Expr | Sequence[Expr], params: Sequence[Var] | None = ...) -> GlobalVar: ...
    def normalize(self, expr: Expr) -> Expr: ...
    def call_te(self, func: Callable[..., Any], *args: Any, **options: Any) -> Call: ...
    def lookup_binding(self, var: Var) -> Expr | None: ...
    def add_func(self, func: BaseFunc, func_name: str) -> GlobalVar: ...
    def get(self) -> IRModule: ...

def const(value: float | np.ndarray | Any, dtype: str | None = ...) -> GenericConst: ...
def call_tir(gvar: GlobalVar, args: Expr | Sequence[Expr], out_ty: TensorType | Sequence[TensorType]) -> Call: ...
