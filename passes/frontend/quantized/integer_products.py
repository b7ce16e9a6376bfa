"""MatMulInteger and ConvInteger of integers, exactly.

    MatMulInteger(x, w, zx, zw) -> R.astype(y, "int32"),   y = R.matmul(p(x - zx), w - zw) as float32
            p: R.dequantize(R.quantize(., 1, z), 1, z), so that an int8 kernel adds the products up
    Cast(that + b, to float32)  -> y + b               and so with what only moves the sums
float32 holds whole numbers below 2^24. Larger sums are added up in int32 from parts that stay below, of some of the
terms each; where they are read as float32 alone, the int8 kernel's own conversion rounds them, to nearest.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from tvm import relax

from ....targets.errors import UnsupportedModelError
from ....targets.seams import Attrs
from ...realize.overflow import ACCUMULATOR_LIMIT
from ...rewriting.grids import Grid
from .codes import Codes, Scale, broadcast_along
from .dynamic import scaled_product
from .quantize_linear import name_of_operand

if TYPE_CHECKING:
    import onnx

    from ..importer import OnnxImporter

_EXACT = 2**24  # Every whole number up to here is a float32.
_INT8, _TWICE = 127, 254  # Weights so far from their zero point are one or two int8 weights (given_quantizers.py).


@dataclass(frozen=True)
class IntegerSums:
    """What an int32 variable holds, as float32. value: the expression; largest: that no magnitude exceeds."""

    value: relax.Expr
    largest: int


@dataclass(frozen=True)
class _Steps:
    """A factor less its zero point: whole numbers as float32, an array where they are known.

    limits: the least and the greatest that they can be; coded: whether they are marked as quantised."""

    value: np.ndarray | relax.Expr
    limits: tuple[int, int]
    coded: bool

    @property
    def largest(self) -> int:
        return max(map(abs, self.limits))


def integer_product(graph: "OnnxImporter", node: "onnx.NodeProto", attrs: Attrs) -> list[Any]:
    """The int32 sums of a product of integers; of integers of a scale that is known at run time only, see dynamic.py.
    Raises UnsupportedModelError for what cannot be computed exactly."""
    codes = graph.value(node.input[0])
    if isinstance(codes, Codes) and codes.scale is None:
        return scaled_product(graph, node, attrs)
    conv = node.op_type == "ConvInteger"
    x = _steps(graph, node, 0, 2, None if conv else -2)
    w = _steps(graph, node, 1, 3, 0 if conv else -1)
    largest = _largest(graph, x, w, conv)
    product = graph.apply(node, "Conv" if conv else "MatMul", [x.value, w.value], node.attribute)
    if isinstance(product, np.ndarray):
        return [product.astype(np.int32)]  # It has no elements.
    if largest < _EXACT:
        whole = graph.emit(relax.op.astype(product, "int32"), node, "sums")
    else:
        parts = _parts_of_weights(graph, node, x, w) if conv else _parts_of_products(graph, node, x, w)
        whole = _added(graph, node, parts)
    if largest < _EXACT or largest < ACCUMULATOR_LIMIT and _has_kernel(graph, node, x, w):
        graph.sums[whole] = IntegerSums(product, largest)
    return [whole]


def _steps(graph: "OnnxImporter", node: "onnx.NodeProto", index: int, zero_index: int, axis: int | None) -> _Steps:
    """A factor; axis: where it may have a zero point for each place."""
    value, zero_name = graph.value(node.input[index]), name_of_operand(node, zero_index)
    zero = graph.value(zero_name) if zero_name else np.zeros((), np.int32)
    scale = value.scale if isinstance(value, Codes) else None
    if isinstance(value, Codes) and not isinstance(scale, Scale):
        value = graph.operand(node.input[index])
    dtype = scale.dtype if isinstance(scale, Scale) else str(value.dtype if _known(value) else value.ty.dtype)
    least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
    rank = len(graph.extents(value))
    if not _known(zero):
        steps = relax.op.subtract(_whole(graph, node, value), _computed_zero(graph, node, zero, rank, axis))
        return _Steps(graph.emit(steps, node, f"steps{index}"), (least - most, most - least), False)
    zero = zero.astype(np.int32)
    if zero.ndim <= 1 and axis is not None:
        zero = broadcast_along(zero, rank, axis)
    if _known(value):
        known = value.astype(np.int32) - zero
        graph.grids.append(Grid.of(known, np.ones(1)))
        return _Steps(known.astype(np.float32), (int(known.min(initial=0)), int(known.max(initial=0))), False)
    whole, limits = _whole(graph, node, value), (int(least - zero.max()), int(most - zero.min()))
    if zero.size == 1:
        return _Steps(Scale(1.0, int(zero.reshape(())), dtype).of_integers(graph, node, whole), limits, True)
    steps = relax.op.subtract(whole, relax.const(zero.astype(np.float32)))
    return _Steps(graph.emit(steps, node, f"steps{index}"), limits, False)


def _whole(graph: "OnnxImporter", node: "onnx.NodeProto", value: Any) -> relax.Expr:
    """Integers, or codes of a constant scale, as float32."""
    if _known(value):
        return relax.const(value.astype(np.float32))
    if not isinstance(value, Codes):
        return graph.emit(relax.op.astype(value, "float32"), node, "wide")
    scale = value.scale
    assert isinstance(scale, Scale), "codes of other scales are integers by now"
    steps = graph.emit(relax.op.divide(value.value, relax.const(np.float32(scale.scale))), node, "own")
    return graph.emit(relax.op.add(steps, relax.const(np.float32(scale.zero_point))), node, "whole")


def _computed_zero(graph: "OnnxImporter", node: "onnx.NodeProto", zero: Any, rank: int, axis: int | None) -> relax.Expr:
    if not isinstance(zero, relax.Expr):
        raise UnsupportedModelError(
            "reads integers by the zero point of others, which is known at run time only; give the fp32 network it was "
            "made from"
        )
    real, extents = graph.emit(relax.op.astype(zero, "float32"), node, "zero"), graph.extents(zero)
    if len(extents) != 1 or axis is None:
        return real
    shape = [1] * rank
    shape[axis] = extents[0]
    return graph.emit(relax.op.reshape(real, shape), node, "zeros")


def _known(value: Any) -> bool:
    return isinstance(value, np.ndarray)


def _largest(graph: "OnnxImporter", x: _Steps, w: _Steps, conv: bool) -> int:
    """What the magnitude of no sum exceeds, of whichever products."""
    if not _known(w.value):
        extents = graph.extents(w.value)
        terms = int(np.prod(extents[1:])) if conv else extents[max(len(extents) - 2, 0)]
        return terms * x.largest * w.largest
    weight = np.asarray(w.value, np.int64)
    axes: tuple[int, ...] = tuple(range(1, weight.ndim)) if conv else (max(weight.ndim - 2, 0),)
    more, less = (part(weight, 0).sum(axis=axes) for part in (np.maximum, np.minimum))
    least, most = x.limits
    return int(np.maximum(more * most + less * least, -(more * least + less * most)).max(initial=0))


def _has_kernel(graph: "OnnxImporter", node: "onnx.NodeProto", x: _Steps, w: _Steps) -> bool:
    """Whether an int8 kernel adds these products up, whatever they are."""
    if not x.coded or len(graph.extents(x.value)) < 2:
        return False
    if not _known(w.value):
        return w.coded and node.op_type == "MatMulInteger" and len(graph.extents(w.value)) >= 2
    groups = next((each.i for each in node.attribute if each.name == "group"), 1)
    ranks = (3, 4) if node.op_type == "ConvInteger" else (2,)
    return w.value.ndim in ranks and w.largest <= (_TWICE if groups == 1 else _INT8)


def _parts_of_products(
    graph: "OnnxImporter", node: "onnx.NodeProto", x: _Steps, w: _Steps
) -> Iterator[relax.Expr | np.ndarray]:
    """The product of some columns of x with the same rows of w, each exact in float32, of all columns."""
    depth, at_once = graph.extents(x.value)[-1], (_EXACT - 1) // (x.largest * w.largest)
    axis = max(len(graph.extents(w.value)) - 2, 0)
    for first in range(0, depth, at_once):
        cut = [np.array([number]) for number in (first, min(first + at_once, depth))]
        left = graph.apply(node, "Slice", [x.value, *cut, np.array([len(graph.extents(x.value)) - 1])])
        right = graph.apply(node, "Slice", [w.value, *cut, np.array([axis])])
        yield graph.apply(node, "MatMul", [left, right])


def _parts_of_weights(
    graph: "OnnxImporter", node: "onnx.NodeProto", x: _Steps, w: _Steps
) -> Iterator[relax.Expr | np.ndarray]:
    """The convolution with some of the taps, each exact in float32, of all taps."""
    if not _known(w.value):
        raise UnsupportedModelError(
            "convolves with computed weights whose sums float32 does not hold; export it with constant weights"
        )
    flat, at_once = w.value.reshape(len(w.value), -1), (_EXACT - 1) // (x.largest * w.largest)
    for first in range(0, flat.shape[1], at_once):
        some = np.zeros_like(flat)
        some[:, first : first + at_once] = flat[:, first : first + at_once]
        graph.grids.append(Grid.of(some, np.ones(1)))
        yield graph.apply(node, "Conv", [x.value, some.reshape(w.value.shape)], node.attribute)


def _added(graph: "OnnxImporter", node: "onnx.NodeProto", parts: Iterator[Any]) -> relax.Expr:
    total: Any = None
    for number, part in enumerate(parts):
        whole = graph.emit(relax.op.astype(part, "int32"), node, f"part{number}")
        total = whole if total is None else graph.emit(relax.op.add(total, whole), node, f"sum{number}")
    assert total is not None, "sums that are too large have terms"
    return total


def sums_to_float(graph: "OnnxImporter", node: "onnx.NodeProto", attrs: Attrs) -> list[relax.Expr]:
    """Cast of sums to float32."""
    return [graph.sums[graph.value(node.input[0])].value]


def biased_sums(graph: "OnnxImporter", node: "onnx.NodeProto", attrs: Attrs) -> list[relax.Expr]:
    """Add of known integers to sums, whose float32 form follows while it is exact or rounded once."""
    operands = [graph.value(name) for name in node.input]
    known = next(each for each in operands if _known(each))
    whole = next(each for each in operands if not _known(each))
    sums, largest = graph.sums[whole], int(np.abs(known.astype(np.int64)).max(initial=0))
    total = graph.emit(relax.op.add(whole, graph.expression(known)), node, "sums")
    if largest < _EXACT and sums.largest + largest < ACCUMULATOR_LIMIT:
        value = graph.emit(relax.op.add(sums.value, relax.const(known.astype(np.float32))), node)
        graph.sums[total] = IntegerSums(value, sums.largest + largest)
    return [total]


def moved_sums(graph: "OnnxImporter", node: "onnx.NodeProto", attrs: Attrs) -> list[relax.Expr]:
    """IntegerSums that are only moved: their float32 form is moved as they are."""
    whole = graph.value(node.input[0])
    others, sums = [graph.value(name) if name else None for name in node.input[1:]], graph.sums.pop(whole)
    try:
        moved, value = (graph.apply(node, node.op_type, [x, *others], node.attribute) for x in (whole, sums.value))
    finally:
        graph.sums[whole] = sums
    graph.sums.setdefault(moved, IntegerSums(value, sums.largest))
    return [moved]
