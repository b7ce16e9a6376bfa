"""The network's inputs with static shapes: the batch dimension is fixed here, every other symbolic dimension is refused."""

import onnx
from onnx import helper

from ...targets.errors import UnsupportedModelError
from .model import TensorSpec

_INPUT_DTYPES = {"float32", "int64", "int32", "int8", "uint8", "bool"}


def input_specs(graph: onnx.GraphProto, batch: int | None, path) -> tuple[TensorSpec, ...]:
    """The inputs that are not initializers, in order. A symbolic first dimension becomes `batch` (None: 1).

    Raises UnsupportedModelError: no inputs, an unknown rank, a scalar, a symbolic dimension that is not the first, a type that is not
    fp32/integer, or `batch` for a network whose batch is fixed to another value.
    """
    if batch is not None and batch < 1:
        raise UnsupportedModelError(f"{path}: batch {batch} is not positive; give 1 or more")
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if not inputs:
        raise UnsupportedModelError(f"{path}: the network has no inputs; give a network that reads at least one tensor")
    specs = tuple(_spec(value, batch, path) for value in inputs)
    fixed = [s for s, v in zip(specs, inputs) if s.shape and not _symbolic(v.type.tensor_type.shape.dim[0])]
    if batch is not None and fixed and len(fixed) == len(specs) and all(s.shape[0] != batch for s in fixed):
        raise UnsupportedModelError(
            f"{path}: input {fixed[0].name!r} has the fixed batch {fixed[0].shape[0]}, not {batch}; export with a symbolic batch dimension"
        )
    return specs


def _spec(value, batch, path):
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not tensor.HasField("shape"):
        raise UnsupportedModelError(f"{path}: input {value.name!r} is not a tensor of known rank; export with the input's shape")
    dtype = str(helper.tensor_dtype_to_np_dtype(tensor.elem_type)) if tensor.elem_type else "undefined"
    if dtype not in _INPUT_DTYPES:
        raise UnsupportedModelError(f"{path}: input {value.name!r} is {dtype}; Octet quantises fp32 networks, export with float32 inputs")
    if not tensor.shape.dim:
        raise UnsupportedModelError(f"{path}: input {value.name!r} is a scalar, so samples have no axis to lie on; export it as a constant or with shape [1]")
    shape = []
    for axis, dim in enumerate(tensor.shape.dim):
        if not _symbolic(dim):
            shape.append(dim.dim_value)
        elif axis == 0:
            shape.append(1 if batch is None else batch)
        else:
            name = dim.dim_param or "unknown"
            raise UnsupportedModelError(
                f"{path}: input {value.name!r} has the dynamic dimension {name!r} at axis {axis}; "
                "export with that extent fixed (only axis 0, the batch, may be symbolic)"
            )
    return TensorSpec(value.name, tuple(shape), dtype)


def _symbolic(dim):
    # Some exporters write an unknown extent as 0 or -1.
    return dim.WhichOneof("value") != "dim_value" or dim.dim_value <= 0
