"""What differs between the shapes of a package: axes whose extents are the same in every shape are one dimension (the
length of two inputs and of an output)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..variant import TensorSpec


@dataclass(frozen=True)
class Dimension:
    """An extent that differs between the shapes of a package, and where it occurs. extents: of each shape. inputs,
    outputs: (name, axis) of the axes that have them. cuts: whether every output that depends on extents has axes of
    such dimensions, so that results of padded arrays can be cut back."""

    extents: tuple[int, ...]
    inputs: tuple[tuple[str, int], ...]
    outputs: tuple[tuple[str, int], ...]
    cuts: bool


def dimensions(inputs: "Sequence[Sequence[TensorSpec]]", outputs: "Sequence[Sequence[TensorSpec]]") -> list[Dimension]:
    """What differs between shapes. inputs, outputs: the signature (TensorSpecs) of each."""
    of_inputs, of_outputs = _varying(inputs), _varying(outputs)
    cuts = all(extents in of_inputs for extents in of_outputs)
    return [
        Dimension(extents, tuple(axes), tuple(of_outputs.get(extents, ())), cuts) for extents, axes in of_inputs.items()
    ]


def _varying(signatures: "Sequence[Sequence[TensorSpec]]") -> dict[tuple[int, ...], list[tuple[str, int]]]:
    """{extents: axes that have them in the signatures}, of axes that are not the same in all."""
    found: dict[tuple[int, ...], list[tuple[str, int]]] = {}
    for tensors in zip(*signatures):
        for axis in range(len(tensors[0].shape)):
            extents = tuple(tensor.shape[axis] for tensor in tensors)
            if len(set(extents)) > 1:
                found.setdefault(extents, []).append((tensors[0].name, axis))
    return found


def varying_shapes(signatures: "Sequence[Sequence[TensorSpec]]") -> str:
    """The shapes of the inputs that differ between signatures, the smallest first."""
    varying = {name for axes in _varying(signatures).values() for name, _ in axes}
    ordered = sorted(signatures, key=lambda specs: sum(spec.nbytes for spec in specs))
    return " or ".join(
        ", ".join(f"{spec.name} {list(spec.shape)}" for spec in specs if spec.name in varying) for specs in ordered
    )
