"""TIR -> CUDA C++: expressions and statements of functions that TVM made for an operator, in the arithmetic of
`device/primitives.cuh`.

float32 sums, products and quotients are rounded one by one, and scalar functions are those of `targets/float_math.py`,
so that a generated kernel computes what the referee computes. Raises `Unsupported` for what has no C++ here."""

import re
from collections.abc import Sequence
from typing import Any

import tvm
from tvm import tirx

from ..kernel import bits
from ..kernels import functions

TYPES = {
    "float32": "float",
    "float64": "double",
    "int64": "long",
    "int32": "int",
    "int16": "short",
    "int8": "signed char",
    "uint8": "unsigned char",
    "uint16": "unsigned short",
    "uint32": "unsigned",
    "uint64": "unsigned long",
    "bool": "bool",
}
_FLOAT = {"Add": "add", "Sub": "sub", "Mul": "mul", "Div": "quotient", "Max": "greater", "Min": "lesser"}
_INFIX = {
    "Add": "+",
    "Sub": "-",
    "Mul": "*",
    "Div": "/",
    "Mod": "%",
    "EQ": "==",
    "NE": "!=",
    "LT": "<",
    "LE": "<=",
    "GT": ">",
    "GE": ">=",
    "And": "&&",
    "Or": "||",
    "BitwiseAnd": "&",
    "BitwiseOr": "|",
    "BitwiseXor": "^",
    "LShift": "<<",
    "RShift": ">>",
}
_HELPERS = {"Max": "larger", "Min": "smaller", "FloorDiv": "floor_quotient", "FloorMod": "floor_rest"}
_BITWISE = {"bitwise_and": "&", "bitwise_or": "|", "bitwise_xor": "^", "shift_left": "<<", "shift_right": ">>"}
_SCALAR = {"nearbyint": "round", "fabs": "abs"}  # Some functions have other names in TIR than in functions.py.


class Unsupported(Exception):
    """Raised, with a short text, for what the printer has no C++ for."""


class Printer:
    """Names of variables and buffers. unroll: most iterations of a loop that is unrolled. prelude: the scalar functions
    that the printed text calls; loaded, stored: the buffers that it reads and writes, in order of appearance; threads:
    {"blockIdx.x" or the like: extent} of loops that are bound."""

    def __init__(self, unroll: int = 0) -> None:
        self.unroll = unroll
        self.threads: dict[str, int] = {}
        self.prelude: dict[str, str] = {}
        self.loaded: dict[tirx.Buffer, None] = {}
        self.stored: dict[tirx.Buffer, None] = {}
        self._names: dict[tirx.Var, str] = {}
        self._taken: set[str] = set()

    def name(self, var: tirx.Var) -> str:
        """The name of a variable or buffer, one of its own each."""
        if var not in self._names:
            base = re.sub(r"\W", "_", str(var.name)) or "v"
            name = f"v_{base}"
            for i in range(1 << 16):
                if name not in self._taken:
                    break
                name = f"v_{base}_{i}"
            self._names[var] = name
            self._taken.add(name)
        return self._names[var]

    def expr(self, e: Any) -> str:
        """C++ of an expression. Raises Unsupported."""
        kind, dtype = type(e).__name__, str(e.ty.dtype) if hasattr(e.ty, "dtype") else ""
        if kind == "IntImm":
            if dtype == "bool":
                return "true" if e.value else "false"
            return f"{int(e.value)}{'L' if dtype == 'int64' else ''}"
        if kind == "FloatImm":
            return f"float_of_bits({bits(e.value)})" if dtype == "float32" else repr(float(e.value))
        if kind == "TensorLoad":
            self.loaded[e.source] = None
            return f"{self.name(e.source)}[{self.index(e.source, e.indices)}]"
        if kind == "Cast":
            return f"static_cast<{type_of(dtype)}>({self.expr(e.value)})"
        if kind == "Select":
            return self._choice(e.condition, e.true_value, e.false_value)
        if kind == "Not":
            return f"!({self.expr(e.a)})"
        if kind == "Let":
            return f"[&] {{ const auto {self.name(e.var)} = {self.expr(e.value)}; return {self.expr(e.body)}; }}()"
        if kind == "Call":
            return self._call(e, dtype)
        if kind in _FLOAT and dtype == "float32":
            return f"{_FLOAT[kind]}({self.expr(e.a)}, {self.expr(e.b)})"
        if kind in _HELPERS:
            return f"{_HELPERS[kind]}<{type_of(dtype)}>({self.expr(e.a)}, {self.expr(e.b)})"
        if kind in _INFIX:
            return f"({self.expr(e.a)} {_INFIX[kind]} {self.expr(e.b)})"
        if kind == "BitwiseNot":
            return f"(~{self.expr(e.a)})"
        if isinstance(e, tvm.ir.Var):
            return self.name(e)
        raise Unsupported(f"an expression of kind {kind}")

    def index(self, buffer: tirx.Buffer, indices: Sequence[tirx.Expr]) -> str:
        """Row-major."""
        text = "0L"
        for extent, index in zip(buffer.shape, indices, strict=True):
            text = (
                f"({text} * {int(extent)}L + {self.expr(index)})"
                if text != "0L"
                else f"static_cast<long>({self.expr(index)})"
            )
        return text

    def _choice(self, condition: tirx.Expr, yes: tirx.Expr, no: tirx.Expr) -> str:
        return f"({self.expr(condition)} ? {self.expr(yes)} : {self.expr(no)})"

    def _call(self, e: tirx.Expr, dtype: str) -> str:
        name = e.op.name.removeprefix("prim.").removeprefix("tirx.") if isinstance(e.op, tvm.ir.Op) else str(e.op)
        if name == "if_then_else":
            return self._choice(*e.args)
        if name == "likely":
            return self.expr(e.args[0])
        if name in _BITWISE:
            return f"({self.expr(e.args[0])} {_BITWISE[name]} {self.expr(e.args[1])})"
        if name == "isnan":
            return f"is_nan({self.expr(e.args[0])})"
        kind = _SCALAR.get(name, name)
        if (
            dtype == "float32"
            and len(e.args) == 1
            and functions.has_device_code(kind)
            and not functions.parameters(kind)
        ):
            function, text = functions.function(kind, {})
            self.prelude[function] = text
            return f"{function}({self.expr(e.args[0])})"
        if dtype == "float32" and kind in functions.WIDE:
            arguments = ", ".join(f"static_cast<double>({self.expr(arg)})" for arg in e.args)
            return f"static_cast<float>(::{kind}({arguments}))"
        raise Unsupported(f"the function {name} of {dtype}")

    def statement(self, s: Any, indent: str = "  ") -> list[str]:
        """Lines."""
        kind = type(s).__name__
        if kind == "SeqStmt":
            return [line for part in s.seq for line in self.statement(part, indent)]
        if kind == "BufferStore":
            self.stored[s.buffer] = None
            return [f"{indent}{self.name(s.buffer)}[{self.index(s.buffer, s.indices)}] = {self.expr(s.value)};"]
        if kind == "Bind":
            return [f"{indent}const {type_of(str(s.value.ty.dtype))} {self.name(s.var)} = {self.expr(s.value)};"]
        if kind == "For":
            variable = self.name(s.loop_var)
            if s.kind == tirx.ForKind.THREAD_BINDING:
                tag = str(s.thread_binding.thread_tag)
                self.threads[tag] = int(s.extent)
                return [f"{indent}const long {variable} = {tag};", *self.statement(s.body, indent)]
            unrolled = isinstance(s.extent, tirx.IntImm) and 1 < int(s.extent) <= self.unroll
            head = ('_Pragma("unroll") ' if unrolled else "") + (
                f"for (long {variable} = {self.expr(s.min)}; {variable} < {self.expr(s.min)} + {self.expr(s.extent)}; "
                f"++{variable}) {{"
            )
            return [indent + head, *self.statement(s.body, indent + "  "), indent + "}"]
        if kind == "IfThenElse":
            lines = [
                f"{indent}if ({self.expr(s.condition)}) {{",
                *self.statement(s.then_case, indent + "  "),
                indent + "}",
            ]
            return (
                lines
                if s.else_case is None
                else [*lines, f"{indent}else {{", *self.statement(s.else_case, indent + "  "), indent + "}"]
            )
        if kind == "SBlockRealize":
            return self.block(s, indent)
        if kind == "AttrStmt":
            return self.statement(s.body, indent)
        if kind == "Evaluate" and isinstance(s.value, tirx.IntImm):
            return []
        raise Unsupported(f"a statement of kind {kind}")

    def block(self, realize: Any, indent: str = "  ") -> list[str]:
        """A block whose loops are open: its variables, its start where a reduction begins, its body."""
        block = realize.block
        if block.alloc_buffers or block.match_buffers:
            raise Unsupported("a buffer within a loop")
        lines = [
            f"{indent}const long {self.name(var.var)} = {self.expr(value)};"
            for var, value in zip(block.iter_vars, realize.iter_values, strict=True)
        ]
        if block.init is not None:
            first = [
                f"{self.name(var.var)} == {self.expr(var.dom.min)}"
                for var in block.iter_vars
                if var.iter_type == tirx.IterVar.CommReduce
            ]
            lines += [
                f"{indent}if ({' && '.join(first) or 'true'}) {{",
                *self.statement(block.init, indent + "  "),
                indent + "}",
            ]
        lines += self.statement(block.body, indent)
        always = isinstance(realize.predicate, tirx.IntImm) and bool(realize.predicate.value)
        lines = lines if always else [f"{indent}if ({self.expr(realize.predicate)}) {{", *lines, indent + "}"]
        return [f"{indent}{{", *lines, f"{indent}}}"]


def type_of(dtype: str) -> str:
    """The C++ type of a dtype. Raises Unsupported."""
    if dtype not in TYPES:
        raise Unsupported(f"the type {dtype or 'none'}")
    return TYPES[dtype]
