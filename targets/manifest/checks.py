"""What manifest.json says, checked as a whole before anything in the package is used: types, ranges, printable unique
names, and sizes against each other.

A manifest whose digests match may still have been written by hand."""

from typing import TYPE_CHECKING

import msgspec

from ..kinds.backends import BACKENDS
from ..schema import Text, checked
from ..variant import can_pad
from ..watch.described import check_words
from .fields import Info, Manifest

if TYPE_CHECKING:
    from .fields import Entry, Shape, _OfShape


def manifest_of(values: object) -> Manifest:
    """The manifest of JSON values, checked. Raises ValueError, which names the field."""
    manifest = checked(values, Manifest)
    try:
        policy = checked(manifest.info, Info).policy
        if (
            policy is not None
            and policy.layers
            and msgspec.UNSET
            in (policy.conversions_int8_us, policy.conversions_chosen_us, policy.int8_us, policy.chosen_us)
        ):
            raise ValueError("$.policy: has layers, but not their times")
    except ValueError as error:
        raise ValueError(f"info{str(error).removeprefix('$')}") from None
    _texts(manifest.info, "info")
    _unique("target", [entry.target for entry in manifest.variants])
    _check_tensors(manifest)
    for entry in manifest.variants:
        _check_variant(entry, manifest)
    if manifest.integer and len(manifest.integer) != 1 + len(manifest.shapes):
        raise ValueError(f"integer: describes {len(manifest.integer)} of {1 + len(manifest.shapes)} shapes")
    others: list[tuple[Shape, Manifest | Shape | None]] = [(shape, None) for shape in manifest.shapes]
    others += zip(manifest.integer, (manifest, *manifest.shapes))
    for number, (shape, of) in enumerate(others, 1):
        try:
            _check_shape(shape, manifest, of)
        except ValueError as error:
            raise ValueError(f"shape {number}: {error}") from None
    inputs = {tensor.name: tensor for tensor in manifest.inputs}
    for name, value in manifest.pads.items():
        if name not in inputs or not can_pad(inputs[name].dtype, value):
            raise ValueError(f"pads: {name} = {value} pads no input")
    return manifest


def _check_tensors(signature: "Shape | Manifest") -> None:
    for side, tensors in (("inputs", signature.inputs), ("outputs", signature.outputs)):
        _unique(side, [tensor.name for tensor in tensors])
        for tensor in tensors:
            if tensor.batch_axis is not None and not 0 <= tensor.batch_axis < max(len(tensor.shape), 1):
                raise ValueError(
                    f"{side} {tensor.name}: batch_axis is {tensor.batch_axis}, of {len(tensor.shape)} axes"
                )
            if tensor.nbytes > 1 << 40:
                raise ValueError(f"{side} {tensor.name}: shape {list(tensor.shape)} is of {tensor.nbytes} bytes")
            if tensor.quantization is not None and tensor.dtype != "int8":
                raise ValueError(f"{side} {tensor.name}: is quantised, as {tensor.dtype}")
    _check_counts(signature)


def _check_shape(shape: "Shape", manifest: Manifest, of: "Manifest | Shape | None") -> None:
    """It is of the same network. of: the shape whose tensors it has, some of them as codes; None for one with extents
    of its own."""
    _check_tensors(shape)
    for tensor, other in zip((*shape.inputs, *shape.outputs), (*of.inputs, *of.outputs) if of is not None else ()):
        if tensor.shape != other.shape:
            raise ValueError(f"{tensor.name} is of shape {list(tensor.shape)}, and {list(other.shape)} in float")
    for ours, others in ((shape.inputs, manifest.inputs), (shape.outputs, manifest.outputs)):
        if [
            (one.name, one.dtype if of is None or one.quantization is None else "float32", len(one.shape))
            for one in ours
        ] != [(one.name, one.dtype, len(one.shape)) for one in others]:
            raise ValueError(
                f"has {', '.join(one.name for one in ours)}, not of the names, types and ranks of "
                f"{', '.join(one.name for one in others)}"
            )
    if len(shape.variants) != len(manifest.variants):
        raise ValueError(f"has {len(shape.variants)} variants of {len(manifest.variants)}")
    for own, entry in zip(shape.variants, manifest.variants):
        if not BACKENDS[entry.kind].shapes:
            raise ValueError(f"variant {entry.target} is of kind {entry.kind}, which has one shape")
        _check_steps(entry.target, own)


def _check_steps(target: str, entry: "Entry | _OfShape") -> None:
    behind = 0
    for first, last, _ in entry.loops:
        if not behind <= first < last <= len(entry.steps):
            raise ValueError(f"variant {target}: loop {first} to {last} of {len(entry.steps)} steps")
        behind = last
    check_words(target, entry)


def _check_counts(signature: "Shape | Manifest") -> None:
    counts = {tensor.name for tensor in signature.outputs if tensor.shape == (1,) and tensor.dtype == "int64"}
    for tensor in (*signature.inputs, *signature.outputs):
        if tensor.counted is not None and (
            tensor.counted[0] >= len(tensor.shape) or tensor.counted[1] not in counts or tensor in signature.inputs
        ):
            raise ValueError(
                f"{tensor.name}: its elements are counted along axis {tensor.counted[0]} by {tensor.counted[1]}, "
                "which does not fit the outputs"
            )


def _check_variant(entry: "Entry", manifest: Manifest) -> None:
    if len(entry.launches) != (len(entry.steps) if BACKENDS[entry.kind].launches else 0):
        raise ValueError(
            f"variant {entry.target}: {len(entry.launches)} launches for {len(entry.steps)} steps of kind {entry.kind}"
        )
    _check_steps(entry.target, entry)
    weights = manifest.members.get(f"variants/{entry.target}/weights.bin")
    most = {
        "weights": weights.bytes if weights else 0,
        "arena": entry.arena_bytes,
        "input": len(manifest.inputs),
        "output": len(manifest.outputs),
    }
    for launch in entry.launches:
        for kind, at in launch.operands:
            if at >= most[kind]:
                raise ValueError(
                    f"variant {entry.target}: {launch.function} has its operand at {kind} {at}, of {most[kind]}"
                )


def _unique(what: str, names: list[str]) -> None:
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{what}: {twice} is there twice")


def _texts(value: object, place: str) -> None:
    """Everything that may be printed is printable."""
    if isinstance(value, dict):
        for key, entry in value.items():
            _texts(key, place)
            _texts(entry, f"{place}.{key}")
    elif isinstance(value, list):
        for entry in value:
            _texts(entry, place)
    elif isinstance(value, str):
        try:
            msgspec.convert(value, Text)
        except msgspec.ValidationError:
            raise ValueError(f"{place[:100]!a}: is no printable text") from None
