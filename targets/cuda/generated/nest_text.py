"""The text of a nest, before TVM's parser reads it.

TVMScript is Python: its parser evaluates what stands there, and `tvm.base.os.system("...")` stands there as well as any
other expression. A nest that comes from a tuning record, from candidates or from a package was written by somebody
else, so only the words that nests are made of are let through."""

import ast
from typing import TYPE_CHECKING

import tvm

if TYPE_CHECKING:
    from tvm import tirx

LARGEST = 1 << 18  # The limit counts characters and is a hundred times the longest nest of a network.
_STRUCTURE = {
    "prim_func",
    "Buffer",
    "grid",
    "sblock",
    "axis.remap",
    "axis.spatial",
    "axis.reduce",
    "reads",
    "writes",
    "init",
    "where",
}
_TYPES = {
    "bool",
    "float16",
    "float32",
    "float64",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
}
_SCALARS = {
    "Cast", "Select", "if_then_else", "max", "min", "abs", "fabs", "ceil", "floor", "round", "trunc", "nearbyint",
    "exp", "exp2", "exp10", "log", "log2", "log10", "log1p", "sqrt", "rsqrt", "pow", "sigmoid", "erf", "sin", "cos",
    "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "atan2", "hypot", "fmod",
    "floordiv", "floormod", "truncdiv", "truncmod", "Div", "bitwise_and", "bitwise_or", "bitwise_xor",
    "bitwise_not", "shift_left", "shift_right", "isnan", "isinf", "isfinite", "copysign", "reinterpret", "infinity",
    "min_value", "max_value", "likely",
}  # A formatter would give each a line of its own.  # fmt: skip
_WORDS = _STRUCTURE | _TYPES | _SCALARS
_NODES = (
    ast.Module, ast.FunctionDef, ast.arguments, ast.arg, ast.With, ast.withitem, ast.For, ast.Assign, ast.Expr,
    ast.Call, ast.keyword, ast.Name, ast.Attribute, ast.Constant, ast.Tuple, ast.List, ast.Subscript, ast.Slice,
    ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.expr_context, ast.operator, ast.unaryop, ast.boolop,
    ast.cmpop,
)  # A formatter would give each a line of its own.  # fmt: skip


def parsed_function(text: str) -> "tirx.PrimFunc":
    """The tirx.PrimFunc whose script a text is. Raises ValueError for every other text, without evaluating anything of
    it."""
    if len(text) > LARGEST:
        raise ValueError(f"its nest is of {len(text)} characters, where at most {LARGEST} can be meant")
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"its nest is no text of a nest ({type(error).__name__})") from None
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if not _allowed(node, id(node) in called, id(node) in inner):
            raise ValueError(f"its nest has {ast.unparse(node)[:60]!a}, which no nest has")
    try:
        function = tvm.script.from_source(text)
        if function.script() == text:
            return function
    except Exception as error:  # The parser raises whatever it comes upon.
        raise ValueError(f"its nest cannot be read ({type(error).__name__})") from None
    raise ValueError("its nest is not written as TVM writes it")


def _allowed(node: ast.AST, called: bool, inner: bool) -> bool:
    if not isinstance(node, _NODES):
        return False
    if called and not isinstance(node, ast.Attribute):
        return False
    if isinstance(node, ast.Attribute):
        return inner or ast.unparse(node).removeprefix("T.") in _WORDS and ast.unparse(node).startswith("T.")
    if isinstance(node, ast.Name):
        return not node.id.startswith("__") and (node.id == "T") == inner
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return not node.value or node.value.isidentifier()  # A text may stand for an expression.
    return True
