"""float32 (and index) operators on plain tensors."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from ...seams import Attrs
from ..kernel import CudaKernel, blocks, literal
from . import functions
from .window import Window

AXES = 6
TYPES = {"float32": "float", "int64": "long", "int32": "int", "bool": "bool"}
# Relax's operators are structs of device/floats.cuh here.
OPERATIONS = {
    "add": "Add",
    "subtract": "Subtract",
    "multiply": "Multiply",
    "divide": "Divide",
    "maximum": "Maximum",
    "minimum": "Minimum",
    "less": "Less",
    "less_equal": "LessEqual",
    "greater": "Greater",
    "greater_equal": "GreaterEqual",
    "equal": "Equal",
    "not_equal": "NotEqual",
    "logical_and": "And",
}


@dataclass(frozen=True)
class Zip:
    """The parameters of the kernel in device/floats.cuh, field by field."""

    extent: tuple[int, ...]
    a: tuple[int, ...]
    b: tuple[int, ...]
    c: tuple[int, ...]


def zipped(result: tuple[int, ...], *operands: tuple[int, ...]) -> Zip:
    """The walk over operands of these shapes, broadcast as NumPy does; at most AXES axes."""
    assert len(result) <= AXES
    steps = [_steps(shape, result) for shape in operands]
    pad = (0,) * AXES
    return Zip((1,) * (AXES - len(result)) + tuple(result), *(steps + [pad] * (3 - len(steps))))


def _steps(shape: tuple[int, ...], result: tuple[int, ...]) -> tuple[int, ...]:
    own = [prod(shape[axis + 1 :]) if extent > 1 else 0 for axis, extent in enumerate(shape)]
    return (0,) * (AXES - len(own)) + tuple(own)


def binary(
    operation: str, dtype: str, out: str, result: tuple[int, ...], a: tuple[int, ...], b: tuple[int, ...]
) -> CudaKernel:
    """Operands: a, b, result, of any broadcastable shapes. out: dtype of the result."""
    call = f"zip<{literal(zipped(result, a, b))}, {OPERATIONS[operation]}, {TYPES[dtype]}, {TYPES[out]}>"
    return CudaKernel(operation, "floats.cuh", call, 3, blocks(prod(result), 128), 128)


def where(
    dtype: str, result: tuple[int, ...], condition: tuple[int, ...], a: tuple[int, ...], b: tuple[int, ...]
) -> CudaKernel:
    """The kernel of a choice by element. Operands: condition, a, b, result, of any broadcastable shapes."""
    return CudaKernel(
        "where",
        "floats.cuh",
        f"choose<{literal(zipped(result, condition, a, b))}, {TYPES[dtype]}>",
        4,
        blocks(prod(result), 128),
        128,
    )


def astype(count: int, dtype: str, out: str) -> CudaKernel:
    """The kernel of a change of type. Operands: data, result of dtype `out`."""
    return CudaKernel(
        "astype", "floats.cuh", f"convert<{count}L, {TYPES[dtype]}, {TYPES[out]}>", 2, blocks(count, 128), 128
    )


def unary(count: int, kind: str, attrs: Attrs) -> CudaKernel:
    """A function of float32, as passes/unary.py names it. Operands: data, result."""
    name, text = functions.function(kind, attrs)
    return CudaKernel(kind, "floats.cuh", f"octet::map<{count}L, {name}>", 2, blocks(count, 128), 128, prelude=(text,))


def scalars(count: int, dtype: str, operations: Sequence[tuple[str, float, bool]]) -> CudaKernel:
    """functions.scalars of float32(x)."""
    name, text = functions.scalars(operations)
    return CudaKernel(
        "scalars",
        "floats.cuh",
        f"map_from<{count}L, {TYPES[dtype]}, {name}>",
        2,
        blocks(count, 128),
        128,
        prelude=(text,),
    )


def take(outer: int, size: int, inner: int, count: int, dtype: str, index: str) -> CudaKernel:
    """Rows [outer, size, inner] by `count` indices. Operands: data, indices, result."""
    call = f"take<{outer}L, {size}L, {inner}L, {count}L, {TYPES[dtype]}, {TYPES[index]}>"
    return CudaKernel("take", "floats.cuh", call, 3, blocks(outer * inner * count, 128), 128)


def scatter_add(rows: int, width: int, count: int, index: str) -> CudaKernel:
    """octet.scatter_add, a thread per column. Operands: data, updates, numbers, result."""
    call = f"scatter_add<{rows}L, {width}L, {count}L, {TYPES[index]}>"
    return CudaKernel("scatter_add", "floats.cuh", call, 4, blocks(width, 128), 128)


def take_and_add(outer: int, size: int, inner: int, count: int, index: str, sizes: tuple[int, int]) -> CudaKernel:
    """The kernel that takes rows of a float32 table and adds up to two others. sizes: elements of the two summands, 0:
    there is no second. Operands: table, indices, first, second (or the first again), result."""
    call = f"take_and_add<{outer}L, {size}L, {inner}L, {count}L, {TYPES[index]}, {sizes[0]}L, {sizes[1]}L>"
    return CudaKernel("take_and_add", "floats.cuh", call, 5, blocks(outer * inner * count, 128), 128)


def softmax(rows: int, count: int, inner: int, log: bool) -> CudaKernel:
    """The kernel of a softmax along the middle axis of [rows, count, inner]. Operands: data, result. log: of the
    logarithm."""
    (exp, exp_text), (ln, ln_text) = functions.function("exp", {}), functions.function("log", {})
    call = f"softmax<{rows}L, {count}, {inner}L, {exp}, {ln}, {literal(log)}>"
    return CudaKernel("softmax", "floats.cuh", call, 2, blocks(16 * rows, 128), 128, prelude=(exp_text, ln_text))


def recurrent(name: str, rows: int, width: int) -> CudaKernel:
    """A step of targets/recurrent_math.py."""
    step, text, gates = functions.step(name)
    return CudaKernel(
        name.removeprefix("octet."),
        "recurrent.cuh",
        f"recurrent<{rows}L, {width}, {gates}, {step}>",
        4,
        blocks(rows * width, 128),
        128,
        prelude=(text,),
    )


def resize_linear(planes: int, size: Sequence[int], result: Sequence[int]) -> CudaKernel:
    """Operands: the planes, then for rows and for columns: lower index, upper index (int32), weight of the upper
    (float32)."""
    call = f"resize_linear<{planes}L, {size[0]}, {size[1]}, {result[0]}, {result[1]}>"
    return CudaKernel("resize_linear", "resize.cuh", call, 8, blocks(planes * result[0] * result[1], 128), 128)


def layer_norm(rows: int, count: int, epsilon: float, scale: bool, center: bool) -> CudaKernel:
    """The kernel of layer normalisation of rows of `count`. Operands: data, weight, bias, result."""
    call = f"layer_norm<{rows}L, {count}, {literal(float(epsilon))}, {literal(scale)}, {literal(center)}>"
    return CudaKernel("layer_norm", "floats.cuh", call, 4, blocks(16 * rows, 128), 128)


def reduce(outer: int, count: int, inner: int, mean: bool, ordered: bool) -> CudaKernel:
    """Over the middle of [outer, count, inner]. ordered: element by element even where inner is 1 (several axes in
    one)."""
    name = "mean" if mean else "sum"
    if ordered and inner == 1:
        return CudaKernel(
            name, "floats.cuh", f"reduce_ordered<{outer}L, {count}, {literal(mean)}>", 2, blocks(outer, 128), 128
        )
    threads = 16 * outer if inner == 1 else outer * inner
    return CudaKernel(
        name, "floats.cuh", f"reduce<{outer}L, {count}, {inner}L, {literal(mean)}>", 2, blocks(threads, 128), 128
    )


@dataclass(frozen=True)
class FloatPool(Window):
    """The parameters of the kernel in device/float_layers.cuh; images: times channels."""

    average: bool
    count_padding: bool


def pool(problem: FloatPool) -> CudaKernel:
    """The kernel of a float32 pooling. Operands: data, result."""
    call = f"pool_float<{literal(problem)}>"
    return CudaKernel("float_pool2d", "float_layers.cuh", call, 2, blocks(problem.pixels, 128), 128)
