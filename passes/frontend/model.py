"""The value that travels through the passes: a Relax module with the signature of the network it came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tvm.ir import IRModule

from ...targets.variant import TensorSpec


@dataclass(frozen=True)
class Model:
    """A network in Relax.

    module: one function `main` with one dataflow block and static shapes; its parameters are the inputs in order, named as
        in ONNX, and it always returns a tuple, also of one output. A variable is named after the ONNX node that it came from.
    inputs, outputs: the signature in ONNX's order. name: the file's stem. sha256: of the ONNX file (and its external data).
    batch: samples per run. notes: what was assumed on import, a line each.
    values: of inputs that were made constants. comes_quantised: whether the file holds quantizers, as QDQ or QOperator.
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

    def with_module(self, module: IRModule) -> "Model":
        """The same network after a pass."""
        return replace(self, module=module)
