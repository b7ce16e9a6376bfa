"""Vectors as TIR expressions, whatever the processor: constants, loads and stores, and instructions on as much as a
register holds."""

from collections.abc import Callable, Sequence

import numpy as np
from tvm import tirx
from tvm.tirx.script import builder as T


def const(value: float, dtype: str) -> tirx.Expr:
    """A scalar of that dtype."""
    return tirx.const(value, dtype)


def splat(value: tirx.Expr | float, dtype: str, lanes: int = 16) -> tirx.Expr:
    """A number or scalar expression in every lane."""
    return tirx.Broadcast(value if not isinstance(value, (int, float)) else const(value, dtype), lanes)


def bind(value: tirx.Expr | int) -> tirx.Expr:
    """A name for `value`, so that it is computed once."""
    return T.Bind(value)


def load_vector(buffer: tirx.Buffer, index: tirx.Expr | int, lanes: int) -> tirx.Expr:
    """`lanes` elements from `index` on."""
    return buffer.vload([index], f"{buffer.dtype}x{lanes}")


def store_vector(buffer: tirx.Buffer, index: tirx.Expr | int, value: tirx.Expr) -> None:
    """Emits that the vector is written from `index` on."""
    T.add_to_parent(buffer.vstore([index], value))


def pure(dtype: str, name: str, *args: tirx.Expr | int) -> tirx.Expr:
    """The value of an instruction without effects. LLVM knows that it has none; TVM must not: its simplifier writes the
    value of a pure integer name into every place of the name, again and again: kernels that quantise on 256 bits grow
    by orders of magnitude."""
    return tirx.call_llvm_intrin(dtype, name, *args)


def effect(name: str, *args: tirx.Expr | int) -> None:
    """Emits an instruction that has no value."""
    T.evaluate(tirx.call_llvm_intrin("void", name, *args))


def lanes_of(vector: tirx.Expr) -> int:
    """How many lanes a vector has."""
    return int(str(vector.ty).rpartition("x")[2])


def bits_of(vector: tirx.Expr) -> int:
    """How wide a vector is."""
    return lanes_of(vector) * np.dtype(str(vector.ty).rpartition("x")[0]).itemsize * 8


def typed(dtype: str, vector: tirx.Expr) -> str:
    """The type of a vector of `dtype` that has as many bits."""
    return f"{dtype}x{bits_of(vector) // (np.dtype(dtype).itemsize * 8)}"


def joined_vectors(vectors: Sequence[tirx.Expr]) -> tirx.Expr:
    """Vectors of one type behind each other; of a single one that vector."""
    if len(vectors) == 1:
        return vectors[0]
    return tirx.Shuffle(vectors, list(range(len(vectors) * lanes_of(vectors[0]))))


def split_vector(vector: tirx.Expr, parts: int) -> list[tirx.Expr]:
    """The vector, cut into so many parts."""
    size = lanes_of(vector) // parts
    return (
        [tirx.Shuffle([vector], list(range(i * size, i * size + size))) for i in range(parts)]
        if parts > 1
        else [vector]
    )


def by_parts(operation: Callable[..., tirx.Expr], parts: int, *vectors: tirx.Expr) -> tirx.Expr:
    """operation(first parts), operation(second parts), ... behind each other."""
    bound = [bind(vector) for vector in vectors]
    return joined_vectors(
        [bind(operation(*pieces)) for pieces in zip(*(split_vector(vector, parts) for vector in bound))]
    )
