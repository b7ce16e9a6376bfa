"""A variant as its entry in the manifest and the package's members, and back."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..kinds.backends import BACKENDS
from ..packed import Packed
from ..schema import one_line
from ..seams import JsonObject
from ..variant import TensorSpec, Variant

if TYPE_CHECKING:
    from .fields import Entry, Manifest, Shape

OBJECT = "kernels.o.xz"  # Libraries for other programs are linked from this object file.


def library_member(variant: Variant) -> str:
    """The member of a package that holds the code of a variant."""
    return f"variants/{variant.target}/{variant.backend.library_member}"


def tensor_entry(spec: TensorSpec) -> dict[str, object]:
    """JSON values of an input or output; what is usual is left out."""
    plain: dict[str, object] = {"name": spec.name, "shape": [int(d) for d in spec.shape], "dtype": str(spec.dtype)}
    plain |= {} if spec.batch_axis == 0 else {"batch_axis": spec.batch_axis}
    plain |= {} if spec.quantization is None else {"quantization": list(spec.quantization)}
    return plain if spec.counted is None else plain | {"counted": list(spec.counted)}


def entry_of(variant: Variant) -> JsonObject:
    """A variant as the JSON values that a manifest holds of it."""
    return (
        {
            "target": variant.target,
            "features": sorted(variant.features),
            "rank": variant.rank,
            "name": one_line(variant.name),
        }
        | _of_shape(variant)
        | variant.backend.described(variant)
    )


def _of_shape(variant: Variant) -> JsonObject:
    """What is not the same for all shapes of a target."""
    steps = {"arena_bytes": int(variant.arena_bytes), "steps": [clean(asdict(step)) for step in variant.steps]}
    words = {"words": clean(asdict(variant.words))} if variant.words is not None else {}
    return (
        steps
        | words
        | ({"lane_bytes": variant.lane_bytes, "loops": [list(loop) for loop in variant.loops]} if variant.loops else {})
    )


def shape_entry(variants: Sequence[Variant]) -> dict[str, object]:
    """JSON values of one more shape of the network."""
    return {
        "inputs": [tensor_entry(spec) for spec in variants[0].inputs],
        "outputs": [tensor_entry(spec) for spec in variants[0].outputs],
        "variants": [_of_shape(variant) for variant in variants],
    }


def variant_of(
    entry: "Entry",
    members: Mapping[str, bytes | memoryview],
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
) -> Variant:
    """The variant that an entry describes. members: the files of the package."""
    folder, backend = f"variants/{entry.target}", BACKENDS[entry.kind]
    return Variant(
        target=entry.target,
        library=bytes(members[f"{folder}/{backend.library_member}"]),
        weights=np.frombuffer(members[f"{folder}/weights.bin"], np.uint8),
        inputs=inputs,
        outputs=outputs,
        features=frozenset(entry.features),
        **{name: getattr(entry, name) for name in ("rank", "name", "kind")},
        launches=tuple(launch.launch for launch in entry.launches),
        source=backend.restored(bytes(members.get(f"{folder}/{backend.source_member}", b""))),
        object=Packed(bytes(members[f"{folder}/{OBJECT}"])) if f"{folder}/{OBJECT}" in members else b"",
        **_own(entry),
    )


def _own(entry: Any) -> JsonObject:
    """What `_of_shape` says, as fields of a Variant."""
    own = {"steps": tuple(step.step for step in entry.steps), "words": entry.words and entry.words.words}
    return own | {name: getattr(entry, name) for name in ("arena_bytes", "lane_bytes", "loops")}


def signature_of(side: "Shape | Manifest") -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """(inputs, outputs) of the manifest or of one of its other shapes."""
    return tuple(tensor.spec for tensor in side.inputs), tuple(tensor.spec for tensor in side.outputs)


def variants_beside(number: int, shape: "Shape", variants: tuple[Variant, ...]) -> tuple[Variant, ...]:
    """The variants of another shape, beside those of the first one."""
    inputs, outputs = signature_of(shape)
    return tuple(
        replace(variant, shape=number, inputs=inputs, outputs=outputs, **_own(entry))
        for variant, entry in zip(variants, shape.variants, strict=True)
    )


def with_integer(variants: tuple[Variant, ...], number: int, described: tuple[Any, ...]) -> tuple[Variant, ...]:
    """The variants with those for callers that quantise, where there are some."""
    return (
        tuple(
            replace(one, integer=twin)
            for shape in described
            for one, twin in zip(variants, variants_beside(number, shape, variants), strict=True)
        )
        or variants
    )


def clean(value: Any) -> Any:
    """Names that came with a network, fit for a manifest: what would control a terminal is escaped."""
    if isinstance(value, dict):
        return {key: clean(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(entry) for entry in value]
    return one_line(value) if isinstance(value, str) else value
