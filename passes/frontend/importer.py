"""ONNX graph -> Relax, through TVM's importer, with three things of ours around it.

1. Nodes of known inputs are evaluated here (fold.py), so that every shape is static; none may be computed from data.
2. Our own converters come first, where TVM's lose what a quantizer must see (Clip as six operators, Pad as opaque TIR).
3. Every value is bound to a variable named after its node, uniquely, and what fails names the node.
"""

import contextlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from tvm import relax
from tvm.ir import GenericConst, IRModule
from tvm.relax.frontend.onnx import onnx_frontend

from ...targets.errors import UnsupportedModelError
from ...targets.seams import Attrs
from ...targets.tvm import privates
from ..ops import shape_of
from ..rewriting.grids import with_grids
from . import control, onnx_functions, tabular
from .checks import check_finite, check_result, describe, weight_roles
from .contributed import operators as contributed
from .converters import OURS
from .fold import DRAWS, can_fold, fold, shape_slice
from .indexing.counted import CountedAxes
from .known_values import KnownValues
from .names import restore_names
from .node import OnnxNode, attributes_of, name_of, unless_empty
from .quantized.coded_converters import converter_of
from .quantized.codes import Codes
from .read import message_line
from .scopes import Scopes
from .signature import misfit
from .weights import array_in_file, in_float32

if TYPE_CHECKING:
    from ...targets.variant import TensorSpec

_WRITTEN_OUT = control.CONVERTERS | tabular.CONVERTERS


def import_graph(
    proto: onnx.ModelProto, inputs: "tuple[TensorSpec, ...]", opset: int, path: Path
) -> tuple[IRModule, tuple[str, ...], list[Any]]:
    """(a module with `main`: parameters as `inputs` (TensorSpecs), a tuple of the graph's outputs and of the counts of
    some; notes; per output of the graph (axis, number of its count) where only so many elements of that axis are meant,
    or None). Floats of other widths are computed in float32. Raises UnsupportedModelError naming the node."""
    importer = OnnxImporter(proto, inputs, opset, path)
    module = importer.run()
    return module, tuple(sorted(importer.notes)), importer.places


class _Refusal(UnsupportedModelError):
    """A refusal that names its node already."""


class OnnxImporter(onnx_frontend.ONNXGraphImporter):
    """One import: what is known of every value of the ONNX graph, and the builder of the Relax function."""

    def __init__(self, proto: onnx.ModelProto, inputs: "tuple[TensorSpec, ...]", opset: int, path: Path | str) -> None:
        super().__init__({spec.name: list(spec.shape) for spec in inputs}, {}, sanitize=False)
        self.opset, self._opsets, self._proto, self._path = opset, proto.opset_import, proto, Path(path)
        self._specs = inputs
        self._roles = weight_roles(proto.graph)
        self._table = privates.onnx_converters()
        self._values = Scopes()  # Maps an ONNX name to a known array or an expression.
        self.notes: set[str] = set()  # Each note tells the report what is not as in the file.
        self._constants = KnownValues(self.notes)
        # The builder spells names its own way, so these are given back to the variables at the end.
        self._names: dict[relax.Var, str] = {}
        # A variable that a MaxPool or Expand made stands for (its node, what it reads).
        self._makers: dict[relax.Var, tuple[onnx.NodeProto, relax.Expr]] = {}
        self._applied = 0  # Counts operators that were put in place of others.
        self._counted = CountedAxes(self.bb.lookup_binding, self._refuse)
        self.places: list[Any] = []
        self.grids: list[Any] = []  # Constants that the file holds as integers have these grids.
        self.sums: dict[relax.Expr, Any] = {}  # Of int32 variables: integer_products.py.

    def run(self) -> IRModule:
        """Converts the whole graph. Raises UnsupportedModelError."""
        graph = self._proto.graph
        for tensor in graph.initializer:
            self._values[tensor.name] = array_in_file(tensor, self._path.parent)
        for value in graph.input:
            self._constants.note_type(value.type.tensor_type.elem_type)
        params = [relax.Var(spec.name, relax.TensorType(spec.shape, spec.dtype)) for spec in self._specs]
        for var in params:
            self._values[var.name] = unless_empty(var)
        with self.bb.function("main", params=params):
            try:
                with self.bb.dataflow():
                    for node in graph.node:
                        self._convert(node)
                    results = [self._result(value.name) for value in graph.output]
                    counts, self.places = self._counted.of_outputs(results, self._bind_as)
                    result = self.bb.emit_output(relax.Tuple([*results, *counts]))
            except UnsupportedModelError:
                privates.end_block(self.bb)  # TVM warns about a builder that is dropped with an open block.
                raise
            self.bb.emit_func_output(result)
        return with_grids(restore_names(self.bb.get(), self._names), self.grids)

    def _convert(self, node: onnx.NodeProto) -> None:
        arrays = [self.known(name) if name else None for name in node.input]
        known = [array if array is not None or not name else name for array, name in zip(arrays, node.input)]
        attrs = privates.parsed_attributes(self, attributes_of(node))
        if node.op_type in ("Shape", "Size"):
            self._values[node.output[0]] = self._guard(
                node, self._shape_of, self._values[node.input[0]], node.op_type, attrs
            )
        elif written_out := _WRITTEN_OUT.get(node.op_type) or converter_of(self, node):
            for name, value in zip(node.output, self._guard(node, written_out, self, node, attrs)):
                self._values[name] = value
        elif any(name and isinstance(self._values[name], control.Sequence) for name in node.input):
            if node.op_type != "Identity":
                self._fail(node, "reads a sequence of tensors; export the network without it")
            self._values[node.output[0]] = self._values[node.input[0]]
        elif can_fold(node, known):
            for name, value in zip(filter(None, node.output), self._guard(node, fold, node, arrays, self._opsets)):
                self._values[name] = self._constants.once(value) if self._values.inside else value
        elif written := self._definition(node):
            self._write_out(node, *written)
        else:
            self._emit(node, arrays, attrs)

    def _shape_of(self, value: relax.Expr, operator: str, attrs: Attrs) -> np.ndarray:
        shape = self.extents(value)
        read = shape_slice(list(range(len(shape))), attrs) if operator == "Shape" else range(len(shape))
        self._counted.require_known(value, read)
        return np.array(np.prod(shape, dtype="int64")) if operator == "Size" else shape_slice(shape, attrs)

    def _definition(self, node: onnx.NodeProto) -> Any:
        """What ONNX says that the node stands for, where neither a converter of ours nor TVM's knows it better."""
        values = [self._values[name] if name else None for name in node.input]
        if node.domain == contributed.DOMAIN:
            return self._guard(node, contributed.body_of, node, values, self.extents)
        if node.op_type in OURS or node.op_type in self._table and node.op_type not in onnx_functions.WRITTEN_OUT:
            return None
        types = [None if value is None else onnx_functions.onnx_type_of(value, self.extents(value)) for value in values]
        return self._guard(node, onnx_functions.definition, node, self.opset, types)

    def _write_out(self, node: onnx.NodeProto, body: onnx.GraphProto, opset: int) -> None:
        outside = self.opset, self._opsets
        self.opset, self._opsets = opset, [onnx.helper.make_opsetid("", opset)]
        try:
            results = self.run_body(body, [self._values[name] for name in node.input if name])
        finally:
            self.opset, self._opsets = outside
        for name, value in zip(filter(None, node.output), results, strict=True):
            self._values[name] = value

    def run_body(self, body: onnx.GraphProto, arguments: Sequence[Any]) -> list[Any]:
        """The results of a body's nodes, written out here; arguments: values of its inputs."""
        with self._values.body():
            for tensor in body.initializer:
                self._values[tensor.name] = self._constants.once(onnx.numpy_helper.to_array(tensor))
            for value, argument in zip(body.input, arguments, strict=True):
                self._values[value.name] = argument
            for inner in body.node:
                self._convert(inner)
            return [self._values[value.name] for value in body.output]

    def _emit(self, node: onnx.NodeProto, arrays: list[np.ndarray | None], attrs: dict[str, Any]) -> None:
        inputs = onnx_frontend.onnx_input(self.operand(name) if name else None for name in node.input)
        arrays = [None if array is None else in_float32(array) for array in arrays]
        for name in {"to", "dtype"} & attrs.keys():
            if self._constants.note_type(attrs[name]):
                attrs[name] = onnx.TensorProto.FLOAT
        result = None
        if node.op_type in OURS:
            name, count = name_of(node), len(node.output)
            args = OnnxNode(
                node.op_type, name, self._bind_as, tuple(inputs), tuple(arrays), attrs, self.opset, count, self._makers
            )
            result = self._guard(node, OURS[node.op_type], args)
        if isinstance(result, OnnxNode):
            inputs, result = onnx_frontend.onnx_input(result.inputs), None
        if result is None:
            if node.op_type in DRAWS:
                self._fail(node, "draws random numbers, so no two runs agree; export it with them as an input")
            if node.op_type not in self._table:
                self._fail(node, "is an operator that cannot be imported; export the network without it")
            attrs["tvm_custom"] = {"name": node.name, "num_outputs": len(node.output)}
            result = self._guard(node, privates.converted, self, node.op_type, inputs, attrs, self.opset)
        self._bind(node, result)

    def _bind(self, node: onnx.NodeProto, result: relax.Expr) -> None:
        hint = name_of(node)
        if not isinstance(result, relax.Tuple):
            # A leaf (a passed-through variable or constant) needs no binding of its own.
            if not isinstance(result, (relax.Var, GenericConst)):
                result = self._guard(node, self._bind_as, result, hint)
            many = isinstance(result.ty, relax.TupleType)
            values = [relax.TupleGetItem(result, i) for i in range(len(node.output))] if many else [result]
        else:
            values = list(result.fields)
        for name, value in zip(node.output, values):
            if not name:
                continue
            if not isinstance(value, (relax.Var, GenericConst)):
                value = self._guard(node, self._bind_as, value, hint)
            if isinstance(value, relax.Var):
                self._names.setdefault(value, hint)  # TVM's converter bound this one by itself.
            self._guard(node, check_result, value.ty)
            if node.op_type in ("MaxPool", "Expand"):
                self._makers[value] = node, self.expression(self._values[node.input[0]])
            known = isinstance(value, GenericConst)
            self._values[name] = self._constants.known(value) if known else unless_empty(value)

    def _bind_as(self, expr: relax.Expr, name: str) -> relax.Var:
        var = self.bb.emit(expr)
        self._names[var] = name
        return var

    def value(self, name: str) -> Any:
        """A known value, an expression, or what stands for several (Sequence) or for integers (codes.py)."""
        return self._values[name]

    def has(self, name: str) -> bool:
        """Whether the value of that name was imported before: an input, an initializer or a node's result."""
        return name in self._values

    def apply(
        self, node: onnx.NodeProto, kind: str, values: Sequence[Any], attributes: Any = (), outputs: int | None = None
    ) -> Any:
        """The result of another operator in place of `node` on values of any kind; a list where their number is
        given."""
        self._applied += 1
        names = [f"{kind}#{self._applied}.{i}" if value is not None else "" for i, value in enumerate(values)]
        results = [f"{kind}#{self._applied}->{i}" for i in range(outputs or 1)]
        with self._values.body():
            for name, value in zip(names, values):
                if name:
                    self._values[name] = np.asarray(value) if isinstance(value, np.generic) else value
            made = onnx.helper.make_node(kind, names, results, name=node.name or node.output[0])
            made.attribute.extend(attributes)
            self._convert(made)
            found = [self._values[name] for name in results]
        return found[0] if outputs is None else found

    def known(self, name: str) -> Any:
        """A known value; None for one that is computed at run time."""
        value = self._values[name] if name in self._values else None
        return value if isinstance(value, np.ndarray) else None

    def emit(self, expr: relax.Call, node: onnx.NodeProto, suffix: str = "") -> relax.Var:
        """Binds an expression to a variable named after the node."""
        return self._bind_as(expr, f"{name_of(node)}.{suffix}" if suffix else name_of(node))

    def operand(self, name: str) -> relax.Expr:
        """A value as an expression. Raises UnsupportedModelError for a weight that is no number."""
        value = self._values[name]
        if isinstance(value, np.ndarray) and value not in self._constants:
            check_finite(name, value, self._path, self._roles.get(name, ""))
        return self.expression(value, name)

    def expression(self, value: Any, name: str = "value") -> relax.Expr:
        """The expression of a value; a value that is known becomes a constant, and codes the file's integers."""
        if isinstance(value, Codes) and value.scale is not None:
            return value.scale.integers(lambda expr, suffix: self._bind_as(expr, f"{name}.{suffix}"), value.value)
        return self._constants.expression(value) if isinstance(value, np.ndarray) else value

    def _result(self, name: str) -> relax.Expr:
        if isinstance(self._values[name], control.Sequence):
            raise UnsupportedModelError(
                f"{self._path}: output {name!r} is a sequence of tensors; export its tensors as outputs instead"
            )
        if not isinstance(result := self.operand(name), relax.Expr):
            raise UnsupportedModelError(
                f"{self._path}: output {name!r} holds integers of a run-time scale; make it float"
            )
        return result

    def extents(self, value: relax.Expr | np.ndarray) -> list[int]:
        """The extents of a value."""
        value = value.value if isinstance(value, Codes) else value
        return list(value.shape) if isinstance(value, np.ndarray) else list(shape_of(value))

    def _guard(self, node: onnx.NodeProto, function: Callable[..., Any], *args: Any) -> Any:
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # TVM's importer prints the operands on failure.
                return function(*args)
        except _Refusal:
            raise
        except UnsupportedModelError as error:
            self._fail(node, str(error))
        except Exception as error:  # Whatever a converter meets, the user needs the node.
            self._fail(node, f"cannot be imported: {message_line(error)}; {misfit(self._proto.graph, self._specs)}")

    def _refuse(self, var: relax.Var, reason: str) -> None:
        raise _Refusal(f"{self._path}: node {self._names.get(var, var.name)!r} {reason}")

    def _fail(self, node: onnx.NodeProto, reason: str) -> None:
        raise _Refusal(f"{self._path}: {describe(node)} {reason}") from None
