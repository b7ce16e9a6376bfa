"""Running sums and the largest or smallest k of an axis: TVM's importer turns reversed sums into opaque TIR and refuses unsorted TopK."""

from tvm import relax

from ....targets.errors import UnsupportedModelError


def cumsum(node):
    """R.cumsum, between two flips if reversed."""
    axis = node.array(1, "axis")
    axis = int(axis.reshape(-1)[0]) % len(node.shape(0))
    x, reverse = node.inputs[0], bool(node.attrs.get("reverse", 0))
    x = node.emit(relax.op.flip(x, axis), "reversed") if reverse else x
    total = relax.op.cumsum(x, axis, exclusive=bool(node.attrs.get("exclusive", 0)))
    return relax.op.flip(node.emit(total, "sum"), axis) if reverse else total


def topk(node):
    """R.topk for the values and another for the indices; results that may come in any order come sorted."""
    axis = node.attrs.get("axis", -1) % len(node.shape(0))
    extent, k = node.shape(0)[axis], int(node.array(1, "k").reshape(-1)[0])
    if not 0 < k <= extent:
        raise UnsupportedModelError(f"takes the top {k} of {extent} elements; export it with k from 1 to {extent}")
    largest = bool(node.attrs.get("largest", 1))
    kinds = ("values", "indices")[: node.outputs]
    found = [node.emit(relax.op.topk(node.inputs[0], k, axis, kind, largest, "int64"), kind) for kind in kinds]
    return relax.Tuple(found) if node.outputs > 1 else found[0]


def non_max_suppression(node):
    """How many boxes it keeps is known at run time only, and every shape here is static."""
    raise UnsupportedModelError(
        "keeps a number of boxes known only at run time; export the network up to its boxes and scores, choose behind it"
    )


CONVERTERS = {"CumSum": cumsum, "TopK": topk, "NonMaxSuppression": non_max_suppression}
