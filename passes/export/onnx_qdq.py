"""The QDQ hub -> an ONNX model with QuantizeLinear / DequantizeLinear (opset 17) that other runtimes run.

Binding by binding, by the table in operators.py; two things are put together again for the runtimes' sake: a
convolution with its bias, and a bias between int8 operands becomes int32 at scale (data scale * weight scale), the
derived spec of annotate/quantization_spec.py.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, overload

import numpy as np
import onnx
from onnx import helper, numpy_helper
from tvm import IRModule, relax

from ...targets.errors import UnsupportedModelError
from ...targets.writing import write_atomically
from ..annotate.conv import bare_members
from ..annotate.graph import Graph, Node, is_constant
from ..constants import array_of
from ..ops import is_op, shape_of
from ..policy.quantize_embeddings import quantize_embeddings
from ..rewriting.unroll_loops import UnrollLoops
from .operators import EXPORTERS
from .unsigned import check_codes, shifted, zero_point

OPSET = 17
IR_VERSION = 8


class Emitter:
    """The ONNX graph as it grows. `node` returns the name of its result, or a tuple of names if `outputs` is given."""

    def __init__(self, opset: int = OPSET) -> None:
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._taken: set[str] = set()
        self._constants: dict[Any, str] = {}
        self._hint = "tensor"

    @overload
    def node(self, kind: str, inputs: Iterable[str], outputs: None = None, **attributes: Any) -> str: ...

    @overload
    def node(self, kind: str, inputs: Iterable[str], outputs: int, **attributes: Any) -> tuple[str, ...]: ...

    def node(
        self, kind: str, inputs: Iterable[str], outputs: int | None = None, **attributes: Any
    ) -> str | tuple[str, ...]:
        """Adds a node and returns the name of its result; a tuple of names where their number is given."""
        names = tuple(self.fresh(self._hint) for _ in range(1 if outputs is None else outputs))
        self.nodes.append(
            helper.make_node(kind, list(inputs), list(names), name=self.fresh(f"{self._hint}_{kind}"), **attributes)
        )
        return names[0] if outputs is None else names

    def constant(self, array: np.ndarray | np.generic | float, hint: str | None = None) -> str:
        """The name of an initializer of this value; one for all that are equal."""
        array = np.ascontiguousarray(array) if np.ndim(array) else np.asarray(array)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self.fresh(hint if hint is not None else f"{self._hint}_const")
            self.initializers.append(numpy_helper.from_array(array, self._constants[key]))
        return self._constants[key]

    def fresh(self, hint: str) -> str:
        """A name that no tensor and no node of the graph has yet, made from `hint`."""
        name, number = hint, 0
        while name in self._taken:
            number += 1
            name = f"{hint}_{number}"
        self._taken.add(name)
        return name

    def reserve(self, names: list[str] | dict[str, np.ndarray]) -> None:
        """Keeps the names of the inputs and outputs from inner tensors."""
        self._taken.update(names)

    def dtype(self, name: str) -> int:
        """The number by which ONNX knows a dtype."""
        return helper.np_dtype_to_tensor_dtype(np.dtype(name))


def to_onnx(module: IRModule, outputs: tuple[str, ...], name: str = "octet", codes: str = "int8") -> onnx.ModelProto:
    """Any module of canonical float operators, R.quantize and R.dequantize as ONNX. outputs: names of the results.
    codes: type of quantised activations, see unsigned.py.
    Raises UnsupportedModelError for an operator without an ONNX form, OctetError for other codes."""
    check_codes(codes)
    graph = Graph(UnrollLoops("an ONNX file")(module))
    unsigned = shifted(graph) if codes == "uint8" else set()
    out, names = Emitter(), {}
    out.reserve([*outputs, *(param.name for param in graph.params)])
    names.update({param: param.name for param in graph.params})
    merged = merged_biases(graph)
    for node in graph.nodes:
        if node in merged.values():
            continue
        result = _export(graph, node, merged.get(node), node in unsigned, names, out)
        names[node.var] = result
        if node in merged:
            names[merged[node].var] = result
    inputs = [_value_info(names[p], p.ty, out) for p in graph.params]
    results = _name_results(graph, names, out, outputs)
    model = helper.make_model(
        helper.make_graph(out.nodes, name, inputs, results, out.initializers),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="octet",
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def export_qdq(quantized: Any, path: Path, codes: str = "uint8") -> None:
    """Writes the hub of a `Quantized` to `path`, atomically: a failure leaves what was there. codes: of activations,
    uint8 (OpenVINO misreads int8 ones where they are concatenated) or int8 (which TensorRT wants). Raises OctetError if
    it cannot be written."""
    # Embeddings are quantised as in the package, so that both have the same integers.
    module = quantize_embeddings(quantized.module, quantized.model.comes_quantised).module
    model = to_onnx(module, tuple(spec.name for spec in quantized.model.outputs), quantized.model.name, codes)
    write_atomically(path, model.SerializeToString())


def merged_biases(graph: Graph) -> dict[Node, Node]:
    """{layer: the addition of its bias that goes into the same ONNX node}."""
    layers = [
        n
        for n in graph.nodes
        if is_op(n.value, "relax.nn.conv2d") or (is_op(n.value, "relax.matmul") and len(shape_of(n.var)) == 2)
    ]
    return {layer: members[1] for layer in layers if len(members := bare_members(graph, layer)) == 2}


def _export(
    graph: "Graph",
    node: Node,
    bias: Node | None,
    unsigned: bool,
    names: dict[relax.Var, Any],
    out: Emitter,
) -> Any:
    out._hint = node.name
    value = node.value
    if isinstance(value, relax.TupleGetItem):
        return names[value.tuple_value][value.index]
    if isinstance(value, relax.Var):
        return names[value]
    if isinstance(value, relax.Tuple):
        return tuple(_operand(x, names, out) for x in value.fields)
    if node.op not in EXPORTERS:
        raise UnsupportedModelError(
            f"ONNX export: operator {node.op} ({node.name}) has no ONNX form here: it cannot be exported"
        )
    operands = [_operand(x, names, out) for x in node.inputs]
    if unsigned:
        operands[2] = out.constant(zero_point(node))
    if bias is not None:
        operands.append(_bias(graph, node, bias, out))
        if is_op(value, "relax.matmul"):
            return out.node("Gemm", operands)
    return EXPORTERS[node.op](value, operands, out)


def _operand(expr: relax.Expr, names: dict[relax.Var, Any], out: Emitter) -> Any:
    return out.constant(array_of(expr)) if is_constant(expr) else names[expr]


def _bias(graph: "Graph", node: Node, add: Node, out: Emitter) -> str:
    """The bias [channels]: int32 behind a DequantizeLinear if data and weights are int8, otherwise float32."""
    bias = next(array_of(x) for x in add.inputs if is_constant(x)).reshape(-1).astype(np.float32)
    scales = [_scale(graph, x) for x in node.inputs]
    if any(scale is None for scale in scales):
        return out.constant(bias, f"{node.name}_bias")
    scale = (scales[0].astype(np.float64) * scales[1].astype(np.float64)).astype(np.float32).reshape(-1)
    steps = np.rint(bias.astype(np.float64) / scale.astype(np.float64))
    if np.abs(steps).max(initial=0) >= 2.0**31:
        return out.constant(bias, f"{node.name}_bias")
    operands = [out.constant(steps.astype(np.int32), f"{node.name}_bias")]
    if scale.size == 1:
        return out.node("DequantizeLinear", [*operands, out.constant(scale.reshape(())), out.constant(np.int32(0))])
    return out.node(
        "DequantizeLinear", [*operands, out.constant(scale), out.constant(np.zeros(scale.size, np.int32))], axis=0
    )


def _scale(graph: "Graph", expr: relax.Expr) -> Any:
    node = graph.producer.get(expr) if isinstance(expr, relax.Var) else None
    return array_of(node.arg(1)) if node is not None and is_op(node.value, "relax.dequantize") else None


def _value_info(name: str, ty: relax.TensorType, out: Emitter) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, out.dtype(str(ty.dtype)), [int(d) for d in ty.shape.values])


def _name_results(
    graph: Graph, names: dict[relax.Var, Any], out: Emitter, outputs: tuple[str, ...]
) -> list[onnx.ValueInfoProto]:
    """Identity nodes that give the results their names (a value may be returned twice, or be an input)."""
    result = graph.result
    value = names[result] if isinstance(result, relax.Var) else tuple(_operand(x, names, out) for x in result.fields)
    values = value if isinstance(value, tuple) else (value,)
    types = result.ty.fields if hasattr(result.ty, "fields") else [result.ty]
    infos = []
    for source, name, ty in zip(values, outputs, types, strict=True):
        if source != name:  # An input that is a result keeps its one name.
            out.nodes.append(helper.make_node("Identity", [source], [name], name=out.fresh(f"{name}_Identity")))
        infos.append(_value_info(name, ty, out))
    return infos
