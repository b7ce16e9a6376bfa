"""What a converter of ours is given: one ONNX node with its operands already in Relax."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from ...targets.errors import UnsupportedModelError
from ...targets.seams import Attrs
from ..ops import shape_of

if TYPE_CHECKING:
    from tvm import relax


def name_of(node: onnx.NodeProto) -> str:
    """A node as its variables are called: the exporter's name, or else that of its first output, or else the
    operator."""
    return node.name or next(filter(None, node.output), node.op_type)


def attribute_text(value: str | bytes) -> str:
    """A string attribute, or one of several, as text: importers give either."""
    return value.decode() if isinstance(value, bytes) else value


def unless_empty(var: "relax.Expr") -> Any:
    """A tensor without elements is known."""
    shape = list(shape_of(var))
    return var if all(shape) else np.zeros(shape, str(var.ty.dtype))


def attributes_of(node: onnx.NodeProto) -> list[onnx.AttributeProto]:
    """Without empty lists (axes = []), which TVM's parser refuses: a converter's default covers them."""
    kinds = onnx.AttributeProto
    lists = {kinds.INTS: "ints", kinds.FLOATS: "floats", kinds.STRINGS: "strings"}
    return [each for each in node.attribute if each.type not in lists or getattr(each, lists[each.type])]


@dataclass(frozen=True)
class OnnxNode:
    """One node of an ONNX graph, as converters see it.

    inputs: Relax expressions, None where left out. arrays: the same inputs where they are known, else None. attrs:
    as in ONNX, strings still bytes. name: for the variables it binds; bind(expr, name) binds one. A converter returns
    an expression (a relax.Tuple for several outputs), None to leave the node to TVM, or a Node to leave it to TVM with
    other inputs. makers: of variables that a MaxPool or Expand made, (its ONNX node, what it read)."""

    op: str
    name: str
    bind: "Callable[..., relax.Var]"
    inputs: tuple[Any, ...]
    arrays: tuple[Any, ...]
    attrs: Attrs
    opset: int
    outputs: int
    makers: "Mapping[relax.Var, Any]" = field(default_factory=dict)

    def emit(self, expr: "relax.Expr", suffix: str = "") -> "relax.Var":
        """Binds an intermediate value, named after the node; every one but the operator itself needs a suffix."""
        return self.bind(expr, f"{self.name}.{suffix}" if suffix else self.name)

    def shape(self, index: int) -> list[int]:
        """The static shape of an input."""
        return list(shape_of(self.inputs[index]))

    def dtype(self, index: int) -> str:
        """The dtype of an input."""
        return str(self.inputs[index].ty.dtype)

    def with_input(self, index: int, expr: "relax.Expr") -> "OnnxNode":
        """The node with another expression as one of its inputs, which is known at run time only."""
        return replace(self, inputs=(*self.inputs[:index], expr, *self.inputs[index + 1 :]))

    def has(self, index: int) -> bool:
        """Whether the optional input is there."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def maker(self, index: int) -> Any:
        """(the node, what it read) of the MaxPool or Expand that made an input; (None, None) where another
        operator did."""
        return self.makers.get(self.inputs[index], (None, None))

    def array(self, index: int, what: str) -> Any:
        """A known optional input; None if it is left out. Raises UnsupportedModelError if it is computed at run
        time."""
        if not self.has(index):
            return None
        if self.arrays[index] is None:
            raise UnsupportedModelError(f"computes its {what} at run time; export it with constant {what}")
        return self.arrays[index]

    def axis(self, default: int) -> int:
        """The axis of the first input that the attribute says, from its beginning. Raises UnsupportedModelError for one
        that it has not."""
        return self.axis_at(self.attrs.get("axis", default))

    def axis_at(self, axis: int | np.int64) -> int:
        """`axis`, counted from the beginning of the first input's axes. Raises UnsupportedModelError for one that it
        lacks."""
        rank = len(self.shape(0))
        if not -rank <= int(axis) < rank:
            raise UnsupportedModelError(f"has axis {int(axis)} of {rank}; export it again")
        return int(axis) % rank

    def text(self, name: str, default: str) -> str:
        """A string attribute as text, `default` where the node has none."""
        return attribute_text(self.attrs.get(name, default))
