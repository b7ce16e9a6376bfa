"""The value that travels through the passes: a Relax module with the signature of the network it came from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tvm.ir import IRModule

from ...targets.variant import TensorSpec

if TYPE_CHECKING:
    import tvm


@dataclass(frozen=True)
class Model:
    """A network in Relax.

    module: one function `main` with one dataflow block and static shapes; its parameters are the inputs in order, named
    as
        in ONNX, and it always returns a tuple, also of one output. A variable is named after the ONNX node that it came
        from.
    inputs, outputs: the signature in ONNX's order. name: the file's stem. sha256: of the ONNX file (and its external
    data).
    batch: samples per run. notes: what was assumed on import, a line each.
    values: of inputs that were made constants. comes_quantised: whether the file holds quantizers, as QDQ or QOperator.
    others: the same network for inputs of other shapes, each without others of its own. pads: {input: value with which
    its arrays may be padded to the next shape}. file_bytes: of the ONNX file and its external data.
    """

    module: IRModule
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    name: str
    sha256: str
    batch: int
    notes: tuple[str, ...] = ()
    values: Mapping[str, float] = field(default_factory=dict)
    comes_quantised: bool = False
    others: tuple["Model", ...] = ()
    pads: Mapping[str, float] = field(default_factory=dict)
    file_bytes: int = 0

    @property
    def shapes(self) -> tuple["Model", ...]:
        """The network for each shape of its inputs, this one first."""
        return (replace(self, others=(), pads={}), *self.others) if self.others else (self,)

    def with_module(self, module: IRModule) -> "Model":
        """The model with `module` in place of its own, as a pass made it."""
        return replace(self, module=module)

    def after(self, step: "Callable[[tvm.IRModule], tvm.IRModule]") -> "Model":
        """The model with a pass applied to the modules of all of its shapes."""
        return replace(self, module=step(self.module), others=tuple(other.after(step) for other in self.others))

    def led_by(self, shapes: Mapping[str, tuple[int, ...]]) -> "Model":
        """The model that begins with the shape whose inputs are so, if there is one, before the others."""
        first = next((one for one in self.shapes if {spec.name: spec.shape for spec in one.inputs} == shapes), None)
        if first is None or not self.others:
            return self
        return replace(first, others=tuple(one for one in self.shapes if one is not first), pads=self.pads)
