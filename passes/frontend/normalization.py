"""BatchNormalization at inference: R.nn.batch_norm, folded by canonicalize."""

from tvm import relax

from ...targets.errors import UnsupportedModelError


def batch_norm(node):
    """The first field of R.nn.batch_norm; training mode and its further outputs are refused."""
    if node.attrs.get("training_mode", 0) or node.outputs > 1:
        raise UnsupportedModelError("is in training mode; export the network for inference")
    out = relax.op.nn.batch_norm(*node.inputs, axis=1, epsilon=float(node.attrs.get("epsilon", 1e-5)), training=False)
    return relax.TupleGetItem(node.emit(out, "statistics"), 0)


CONVERTERS = {"BatchNormalization": batch_norm}
