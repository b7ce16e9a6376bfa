"""What a kernels.so is called with, in words: the library says it, and whoever loads it compares."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..variant import TensorSpec, Variant


@dataclass(frozen=True)
class Interface:
    """The sizes and entries that C code needs to call a network. weights, arena, lane: bytes. loops: as `Variant` has
    them. steps: kernels that can be called by themselves, 0 where the library has no entry for that. shape: number of
    the shape of the inputs, in a library for several; what the kernels' entries are called depends on it (`suffix`)."""

    inputs: Sequence[TensorSpec]
    outputs: Sequence[TensorSpec]
    weights: int
    arena: int
    lane: int = 0
    loops: tuple[tuple[int, int, int], ...] = ()
    steps: int = 0
    shape: int = 0

    @property
    def signature(self) -> str:
        """One line of text by which a session recognises the library that it was made for."""
        tensors = (
            f"{side} {spec.dtype}[{','.join(map(str, spec.shape))}]"
            for side, specs in (("in", self.inputs), ("out", self.outputs))
            for spec in specs
        )
        loops = (f"loop {first}-{last}x{chunks}" for first, last, chunks in self.loops)
        return "; ".join(
            [
                f"weights {self.weights}",
                f"arena {self.arena}",
                f"lane {self.lane}",
                f"steps {self.steps}",
                *loops,
                *tensors,
            ]
        )


def interface_of(variant: Variant) -> Interface:
    """The interface of a variant for CPUs."""
    return Interface(
        variant.inputs,
        variant.outputs,
        variant.weights.size,
        variant.arena_bytes,
        variant.lane_bytes,
        tuple((first, last, chunks) for first, last, chunks in variant.loops),
        len(variant.steps),
        variant.shape,
    )
