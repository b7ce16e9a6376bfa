"""Gemm, whose alpha, beta and transpositions go into known weights and biases right away, and determinants."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from tvm import relax

from ...targets.errors import UnsupportedModelError

if TYPE_CHECKING:
    from .node import OnnxNode

_MOST_ROWS = 4  # The terms of a determinant are written out, so it has at most so many rows.


def gemm(node: "OnnxNode") -> relax.Var:
    """R.matmul(a, b) and, with a third input, R.add(.., c): alpha * op(a) @ op(b) + beta * c. Raises
    UnsupportedModelError for integers times a factor that is none."""
    a, b = node.inputs[:2]
    alpha, beta = (_factor(node, name) for name in ("alpha", "beta"))
    if node.attrs.get("transA", 0):
        a = node.emit(relax.op.permute_dims(a, [1, 0]), "transA")
    if node.arrays[1] is not None:
        weight = node.arrays[1].T if node.attrs.get("transB", 0) else node.arrays[1]
        b = relax.const(np.ascontiguousarray(weight if alpha == 1 else weight * alpha), node.dtype(0))
    else:
        if node.attrs.get("transB", 0):
            b = node.emit(relax.op.permute_dims(b, [1, 0]), "transB")
        if alpha != 1:
            a = node.emit(relax.op.multiply(a, relax.const(alpha, node.dtype(0))), "alpha")
    product = node.emit(relax.op.matmul(a, b))
    if not node.has(2):
        return product
    if node.arrays[2] is not None:
        c = relax.const(np.ascontiguousarray(node.arrays[2] * beta), node.dtype(0))
    else:
        c = (
            node.inputs[2]
            if beta == 1
            else node.emit(relax.op.multiply(node.inputs[2], relax.const(beta, node.dtype(0))), "beta")
        )
    return node.emit(relax.op.add(product, c), "bias")


def _factor(node: "OnnxNode", name: str) -> np.generic:
    dtype, factor = np.dtype(node.dtype(0)), np.float32(node.attrs.get(name, 1.0))
    if dtype.kind in "iu" and not float(factor).is_integer():
        raise UnsupportedModelError(
            f"multiplies {dtype} by {name} = {factor:g}, whose products are no integers; cast its operands to float32 "
            "in front of it"
        )
    return factor.astype(dtype) if dtype.kind in "iu" else factor


def determinant(node: "OnnxNode") -> relax.Call:
    """Determinants [..] of matrices [.., n, n], by the minors of ever more rows, from the last one up."""
    *shape, rows = node.shape(0)
    if rows > _MOST_ROWS:
        raise UnsupportedModelError(f"is a determinant of {rows} rows; at most {_MOST_ROWS} are supported")
    flat, batch = node.emit(relax.op.reshape(node.inputs[0], [-1, rows * rows]), "flat"), shape[:-1]
    at = [
        [
            node.emit(relax.op.strided_slice(flat, [1], [k], [k + 1]), f"entry{k}")
            for k in range(r * rows, (r + 1) * rows)
        ]
        for r in range(rows)
    ]
    minors: dict[tuple[int, ...], Any] = {(c,): at[-1][c] for c in range(rows)}
    for row in reversed(at[:-1]):
        minors = {columns: _expanded(node, row, columns, minors) for columns in _larger(minors, rows)}
    return relax.op.reshape(minors[tuple(range(rows))], batch)


def _larger(minors: Mapping[Any, Any], rows: int) -> list[tuple[int, ...]]:
    return sorted({tuple(sorted({*columns, c})) for columns in minors for c in range(rows) if c not in columns})


def _expanded(
    node: "OnnxNode",
    row: list[relax.Var],
    columns: tuple[int, ...],
    minors: Mapping[Any, Any],
) -> relax.Expr | None:
    name, total = "minor" + "_".join(map(str, columns)), None
    for sign, column in enumerate(columns):
        term = node.emit(
            relax.op.multiply(row[column], minors[tuple(c for c in columns if c != column)]), f"{name}.term{sign}"
        )
        add = relax.op.subtract if sign % 2 else relax.op.add
        total = term if total is None else node.emit(add(total, term), f"{name}.sum{sign}")
    return total


CONVERTERS = {"Gemm": gemm, "Det": determinant}
