"""What a `Lowering` compiles: an integer network with the names and types of its inputs and outputs."""

from dataclasses import dataclass

import tvm

from ...targets.variant import TensorSpec


@dataclass(frozen=True)
class IntegerNetwork:
    """An integer network that a backend compiles.

    module: realised and float-fused. inputs, outputs: the signature, in the order of `main`."""

    module: tvm.IRModule
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
