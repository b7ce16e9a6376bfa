"""How the batch passes through each operator: a rule answers where the samples lie in the result, or raises `Mixes`
with the reason.

A rule takes an `BatchOperands` (what is known of the call) and returns a `BatchAxis`. An operator without a rule counts
as one that mixes samples. What a rule answers says that slicing the operands along their batch axes slices the result
along its own: nothing is assumed of what the axis means."""

from dataclasses import dataclass
from typing import Any

import tvm
from tvm import relax

from ....targets.seams import Attrs
from ... import ops
from ...operators.registry import TRAITS
from ...ops import shape_of
from .sample_axis import BatchAxis, Mixes, repeats, through_reshape


@dataclass
class BatchOperands:
    """The operands of one call, as the rules of this file read them. axes: per tensor operand, None where it holds no
    samples. sliced: {position: axis} of constants that hold the batch; rules add to it."""

    call: relax.Expr
    batch: int
    tensors: list[relax.Expr]
    axes: list[Any]
    sliced: dict[int, BatchAxis]

    @property
    def attrs(self) -> dict[str, Any]:
        """The call's attributes, {name: value}."""
        return ops.attrs_of(self.call)

    def shape(self, position: int) -> tuple[int, ...]:
        """The shape of the tensor operand at a position, for the number of samples that the network has."""
        return shape_of(self.tensors[position])

    def data(self) -> BatchAxis:
        """The batch axis of the first operand, which must be the one that holds samples."""
        if self.axes[0] is None:
            raise Mixes("its first operand does not depend on the batch")
        return self.axes[0]

    def whole(self, *positions: int) -> None:
        """Raises Mixes unless these operands (all but the first, by default) are the same for all samples."""
        for position in positions or range(1, len(self.axes)):
            if self.axes[position] is not None:
                raise Mixes(f"operand {position} differs between samples")

    def align(self, position: int, wanted: BatchAxis) -> None:
        """Operand `position` holds the samples at `wanted`, or broadcasts over them, or is a constant that repeats."""
        axis, extent = (
            self.axes[position],
            self.shape(position)[wanted.axis] if 0 <= wanted.axis < len(self.shape(position)) else 1,
        )
        if axis == wanted or (axis is None and extent == 1):
            return
        tensor = self.tensors[position]
        if (
            axis is None
            and isinstance(tensor, tvm.ir.GenericConst)
            and extent == wanted.extent(self.batch)
            and repeats(tensor.value.numpy(), wanted, self.batch)
        ):
            self.sliced[position] = wanted
            return
        raise Mixes(
            "its operands hold the samples on different axes"
            if axis is not None
            else f"operand {position} has a part of its own for every sample"
        )


def broadcast(o: BatchOperands) -> BatchAxis:
    """The batch axis of an elementwise operator with NumPy's broadcasting, axes counted from the last."""
    rank = max(len(shape_of(tensor)) for tensor in o.tensors)
    places = {
        BatchAxis(axis.axis + rank - len(o.shape(i)), axis.inner) for i, axis in enumerate(o.axes) if axis is not None
    }
    if len(places) != 1:
        raise Mixes("its operands hold the samples on different axes")
    (found,) = places
    for i in range(len(o.tensors)):
        o.align(i, BatchAxis(found.axis - rank + len(o.shape(i)), found.inner))
    return found


def same(o: BatchOperands) -> BatchAxis:
    """The batch axis of an operator that is elementwise in its first operand; the others must be the same for all
    samples."""
    o.whole()
    return o.data()


def per_channel(o: BatchOperands) -> BatchAxis:
    """Elementwise in operand 0, with a parameter or table per channel, which is not the batch."""
    channel = o.attrs.get("axis", 1) % max(len(o.shape(0)), 1)
    if o.data().axis == channel and any(
        len(o.shape(i)) > (i == 1 and ops.is_op(o.call, "octet.table")) for i in range(1, len(o.tensors))
    ):
        raise Mixes("has parameters along the batch")
    return same(o)


def images(o: BatchOperands) -> BatchAxis:
    """Windows over [N, C, H, W]; a further operand of the result's shape is a residual."""
    found = o.data()
    if found.axis != 0:
        raise Mixes("reads several places of the batch at a time")
    return _with_residual(o, found)


def rows(o: BatchOperands) -> BatchAxis:
    """A linear layer over the last axis."""
    found = o.data()
    if found.axis == len(o.shape(0)) - 1:
        raise Mixes("sums over the batch")
    return _with_residual(o, found)


def _with_residual(o: BatchOperands, batch_axis: BatchAxis) -> BatchAxis:
    for i in range(1, len(o.tensors)):
        if o.shape(i) == shape_of(o.call) and len(o.shape(i)) == len(o.shape(0)) and (o.axes[i] is not None or i >= 3):
            o.align(i, batch_axis)
        else:
            o.whole(i)
    return batch_axis


def product(o: BatchOperands) -> BatchAxis:
    """The batch axis of a matrix product [.., M, K] @ [.., K, N]."""
    ranks = [len(o.shape(i)) for i in (0, 1)]
    if min(ranks) < 2:
        raise Mixes("is a product with a vector")
    rank, found = max(ranks), {}
    for i, axis in enumerate(o.axes):
        if axis is not None:
            found[i] = BatchAxis(axis.axis + rank - ranks[i], axis.inner)
    for i, axis in found.items():
        if axis.axis < rank - 2:
            o.align(1 - i, BatchAxis(axis.axis - rank + ranks[1 - i], axis.inner))
        elif len(found) == 2 or axis.axis != (rank - 2, rank - 1)[i]:
            raise Mixes("sums over the batch")
    return next(iter(found.values()))


def along(o: BatchOperands) -> BatchAxis:
    """Works along `axis` (the last by default) or `axes`, which must not be the batch; the shape stays, or `axis` gets
    another extent."""
    attrs, found = o.attrs, o.data()
    o.whole()
    if attrs.get("axis", 0) is None or found.axis in _axes(attrs, len(o.shape(0)), [-1]):
        raise Mixes("works along the batch")
    return found


def reduction(o: BatchOperands) -> BatchAxis:
    """The batch axis of a reduction, which must not reduce it."""
    batch_axis, rank = o.data(), len(o.shape(0))
    gone = _axes(o.attrs, rank, range(rank))
    if batch_axis.axis in gone:
        raise Mixes("reduces the batch")
    return (
        batch_axis
        if o.attrs["keepdims"]
        else BatchAxis(batch_axis.axis - sum(axis < batch_axis.axis for axis in gone), batch_axis.inner)
    )


def _axes(attrs: Attrs, rank: int, default: list[int] | range) -> set[int]:
    given = attrs.get("axes", attrs.get("axis"))
    given = default if given is None else [given] if isinstance(given, int) else given
    return {axis % rank for axis in given}


def view(o: BatchOperands) -> BatchAxis:
    """The batch axis behind a reshape. Raises Mixes where the reshape takes samples apart."""
    return through_reshape(o.data(), o.shape(0), shape_of(o.call), o.batch)


def transpose(o: BatchOperands) -> BatchAxis:
    """The batch axis behind a permutation of the axes."""
    found, rank = o.data(), len(o.shape(0))
    order = [axis % rank for axis in o.attrs["axes"] or reversed(range(rank))]
    return BatchAxis(order.index(found.axis), found.inner)


def concat(o: BatchOperands) -> BatchAxis:
    """The batch axis of joined parts, all of which hold the samples on one axis, which is not the one that they are
    joined on."""
    batch_axis = next(axis for axis in o.axes if axis is not None)
    axis = o.attrs["axis"]
    if axis is None or axis % len(shape_of(o.call)) == batch_axis.axis:
        raise Mixes("joins along the batch")
    for i in range(len(o.tensors)):
        if o.axes[i] is None and o.shape(i)[batch_axis.axis] != batch_axis.extent(o.batch):
            raise Mixes(f"operand {i} does not depend on the batch")
        o.align(i, batch_axis)
    return batch_axis


def slices(o: BatchOperands) -> BatchAxis:
    """The batch axis behind a slice, which must take every sample whole."""
    found, rank = o.data(), len(o.shape(0))
    if found.axis in {int(axis.value) % rank for axis in o.call.args[1].fields}:
        raise Mixes("takes some of the samples")
    return found


def pad(o: BatchOperands) -> BatchAxis:
    """The batch axis behind a padding, which must pad samples and not the batch."""
    found, width = same(o), o.attrs["pad_width"]
    if any(int(w) for w in width[2 * found.axis : 2 * found.axis + 2]):
        raise Mixes("pads the batch")
    return found


def expand(o: BatchOperands) -> BatchAxis:
    """The batch axis behind broadcast_to, which must leave the batch as long as it is."""
    found = o.data()
    return BatchAxis(found.axis + len(shape_of(o.call)) - len(o.shape(0)), found.inner)


def take(o: BatchOperands) -> BatchAxis:
    """Rows of a table that is the same for all samples, by indices per sample; or the same rows of every sample."""
    axis = o.attrs["axis"]
    if axis is None or (o.axes[0] is not None and o.axes[1] is not None):
        raise Mixes("looks up by positions of the whole batch")
    axis %= len(o.shape(0))
    if o.axes[0] is None:
        return BatchAxis(o.axes[1].axis + axis, o.axes[1].inner)
    batch_axis = o.axes[0]
    if batch_axis.axis == axis:
        raise Mixes("takes some of the samples")
    return batch_axis if batch_axis.axis < axis else BatchAxis(batch_axis.axis + len(o.shape(1)) - 1, batch_axis.inner)


def look_up(o: BatchOperands) -> BatchAxis:
    """The batch axis of rows that each sample's indices take from one table for all samples."""
    o.whole(0, 1)
    if o.axes[2] is None:
        raise Mixes("its indices do not depend on the batch")
    return o.axes[2]


def gather(o: BatchOperands) -> BatchAxis:
    """The batch axis behind a gather, which must take its rows within samples."""
    found = o.data()
    if o.attrs["axis"] % len(o.shape(0)) == found.axis:
        raise Mixes("takes some of the samples")
    o.align(1, found)
    return found


_BY_NAME = {
    rule.__name__: rule
    for rule in (
        broadcast,
        same,
        per_channel,
        images,
        rows,
        product,
        along,
        reduction,
        view,
        transpose,
        concat,
        slices,
        pad,
        expand,
        take,
        look_up,
        gather,
    )
}
RULES = {name: _BY_NAME[traits.samples] for name, traits in TRAITS.items() if traits.samples is not None}
