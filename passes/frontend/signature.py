"""The network's inputs with static shapes, and where the batch lies in inputs and outputs."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ...targets.batches import batch_of
from ...targets.errors import UnsupportedModelError
from ...targets.variant import TensorSpec
from .shapes.dimensions import NO_BATCH, Said, fix_dimensions
from .weights import WIDE_FLOATS

_INPUT_DTYPES = {"float32", "bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))}


def fix_inputs(graph: onnx.GraphProto, values: Mapping[str, Any], path: Path | str) -> None:
    """Inputs that always have one value become constants. values: {input: number or array}. Raises
    UnsupportedModelError for what is no input or does not fit."""
    inputs = {value.name: value for value in graph.input}
    for name, value in values.items():
        if name not in inputs:
            raise UnsupportedModelError(f"{path}: --fix {name}: is no input; the inputs are {', '.join(inputs)}")
        tensor = inputs[name].type.tensor_type
        dims = [1 if _is_symbolic(dim) else dim.dim_value for dim in tensor.shape.dim]
        array = np.asarray(value, helper.tensor_dtype_to_np_dtype(tensor.elem_type))
        try:
            array = np.broadcast_to(array, dims) if tensor.HasField("shape") and array.size == 1 else array
        except ValueError:
            raise UnsupportedModelError(
                f"{path}: --fix {name}: the value has shape {list(array.shape)}, the input {dims}; give one number"
            ) from None
        graph.input.remove(inputs[name])
        for known in [tensor for tensor in graph.initializer if tensor.name == name]:
            graph.initializer.remove(known)
        graph.initializer.append(numpy_helper.from_array(np.array(array, order="C"), name))


def input_specs(
    graph: onnx.GraphProto, said: Said, path: Path
) -> tuple[tuple[TensorSpec, ...], dict[str, str], tuple[str, ...]]:
    """(the inputs that are not initializers, in order; {input: symbol of its batch axis}; notes).

    Raises UnsupportedModelError: no inputs, open dimensions, a type that is not fp32/integer, or a batch for a network
    whose batch is fixed."""
    batch = None if said.batch == NO_BATCH else said.batch
    if isinstance(batch, str) or (batch is not None and batch < 1):
        raise UnsupportedModelError(f"{path}: batch {batch} is not positive; give 1 or more")
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if not inputs:
        raise UnsupportedModelError(f"{path}: the network has no inputs; give a network that reads at least one tensor")
    dtypes = {value.name: _dtype(value, path) for value in inputs}
    fixed, notes = fix_dimensions({value.name: _declared(value) for value in inputs}, said, path)
    for value in inputs:
        _check_empty_batch(value, fixed[value.name].batch_axis, said, path)
    specs = tuple(TensorSpec(name, found.shape, dtypes[name], found.batch_axis) for name, found in fixed.items())
    batches = {spec.name: spec.shape[spec.batch_axis] for spec in specs if spec.shape and spec.batch_axis is not None}
    if batch is not None and batches and batch not in batches.values():
        name, extent = next(iter(batches.items()))
        raise UnsupportedModelError(
            f"{path}: input {name!r} has the fixed batch {extent}, not {batch}; export with a symbolic batch dimension"
        )
    return specs, {name: found.symbol for name, found in fixed.items()}, notes


def _check_empty_batch(value: onnx.ValueInfoProto, axis: int | None, said: Said, path: Path) -> None:
    """A batch of 0 is what some exporters write for one that is open, and what others write for no element at all:
    which of them it is somebody has to say."""
    dims = value.type.tensor_type.shape.dim
    if axis is None or not dims or dims[axis].WhichOneof("value") != "dim_value" or dims[axis].dim_value != 0:
        return
    if said.batch is None and value.name not in said.shapes and value.name not in said.data:
        extents = [dim.dim_param if dim.WhichOneof("value") == "dim_param" else dim.dim_value for dim in dims]
        raise UnsupportedModelError(
            f"{path}: input {value.name!r} declares {extents}, no element along axis {axis}; add --batch 1 if that "
            "means that the batch is open, or export it with the extent that it has"
        )


def misfit(graph: onnx.GraphProto, specs: tuple[TensorSpec, ...]) -> str:
    """What to do where shapes do not fit each other: give other extents, if the file leaves some open."""
    declared = {value.name: _declared(value) or ("",) for value in graph.input}
    specs = tuple(spec for spec in specs if spec.shape)
    symbolic = {name: dims for name, dims in declared.items() if any(isinstance(dim, str) for dim in dims)}
    chosen = " ".join(
        f"--shape {spec.name}={'x'.join(map(str, spec.shape))}" for spec in specs if spec.name in symbolic
    )
    export = "export it with other attributes or shapes"
    batch = batch_of(specs)
    if symbolic and all(len(dims) > 1 and all(isinstance(dim, int) for dim in dims[1:]) for dims in symbolic.values()):
        return f"take other samples at once than --batch {batch}, or {export}"
    return f"give other extents than {chosen}, or {export}" if chosen else export


def output_axes(proto: onnx.ModelProto, inputs: tuple[TensorSpec, ...], symbols: dict[str, str]) -> list[int]:
    """The axis along which the samples lie, per output: the one that has the inputs' batch symbol, as declared or as
    onnx.shape_inference finds it; else 0.
    Where the file fixes the first extent, nothing says that it is a batch, and outputs stay as they are."""
    known = {symbol for symbol in symbols.values() if symbol}
    graph, batch = proto.graph, batch_of(inputs)
    if batch > 1 and known and any(not known & set(_names(value)) for value in graph.output):
        graph, known = _inferred(proto, inputs, batch), {_SYMBOL}
    return [next((axis for axis, name in enumerate(_names(value)) if name in known), 0) for value in graph.output]


def with_counts(outputs: tuple[TensorSpec, ...], counted: list[tuple[int, int] | None]) -> tuple[TensorSpec, ...]:
    """The outputs, and behind them one for every count. counted: per output (axis, number of its count) or None."""
    taken = {spec.name for spec in outputs}
    names: dict[int, str] = {}
    for spec, place in zip(outputs, counted, strict=True):
        if place is not None:
            names.setdefault(place[1], _free(f"{spec.name}.count", taken))
    marked = (
        spec if place is None else replace(spec, batch_axis=None, counted=(place[0], names[place[1]]))
        for spec, place in zip(outputs, counted)
    )
    return (*marked, *(TensorSpec(names[i], (1,), "int64", None) for i in sorted(names)))


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name


_SYMBOL = "octet_batch"


def _inferred(proto: onnx.ModelProto, inputs: tuple[TensorSpec, ...], batch: int) -> onnx.GraphProto:
    """The graph with shapes as inferred from one symbol along every input's batch axis and static extents elsewhere."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    specs = {spec.name: spec for spec in inputs}
    for value in copy.graph.input:
        if value.name in specs:
            shape = value.type.tensor_type.shape
            del shape.dim[:]
            for axis, extent in enumerate(specs[value.name].shape):
                dim = shape.dim.add()
                if axis == specs[value.name].batch_axis and extent == batch:
                    dim.dim_param = _SYMBOL
                else:
                    dim.dim_value = extent
    for value in copy.graph.output:
        value.type.tensor_type.ClearField("shape")
    del copy.graph.value_info[:]
    try:
        return onnx.shape_inference.infer_shapes(copy, data_prop=True).graph
    except Exception:
        # The axis stays 0 where onnx cannot follow the graph, or the file is larger than one protobuf message may be.
        return copy.graph


def _names(value: onnx.ValueInfoProto) -> list[str]:
    return [dim.dim_param for dim in value.type.tensor_type.shape.dim]


def _declared(value: onnx.ValueInfoProto) -> Any:
    tensor = value.type.tensor_type
    return (
        tuple(_symbol(dim) if _is_symbolic(dim) else dim.dim_value for dim in tensor.shape.dim)
        if tensor.HasField("shape")
        else None
    )


def _symbol(dim: onnx.TensorShapeProto.Dimension) -> str:
    """The dimension's name; "" for what exporters write where they have none: two of them are not one dimension."""
    return "" if dim.dim_param in ("?", "-1", "None", "none") else dim.dim_param


def _dtype(value: onnx.ValueInfoProto, path: Path) -> str:
    if not value.type.HasField("tensor_type"):
        raise UnsupportedModelError(f"{path}: input {value.name!r} is not a tensor; export with tensors as inputs")
    kind = value.type.tensor_type.elem_type
    dtype = str(helper.tensor_dtype_to_np_dtype(kind)) if kind else "undefined"
    dtype = "float32" if dtype in WIDE_FLOATS else dtype
    if dtype not in _INPUT_DTYPES:
        raise UnsupportedModelError(
            f"{path}: input {value.name!r} is {dtype}; Octet quantises fp32 networks, export with float32 inputs"
        )
    return dtype


def _is_symbolic(dim: onnx.TensorShapeProto.Dimension) -> bool:
    # Some exporters write an unknown extent as 0 or -1.
    return dim.WhichOneof("value") != "dim_value" or dim.dim_value <= 0
