"""The signature of a network as constants and tables of C, and as parameters of C++."""

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from ..variant import Variant
from .c_names import c_string, commented

if TYPE_CHECKING:
    from ..variant import TensorSpec


_TYPES = {
    "bool": "uint8_t",
    "int8": "int8_t",
    "int16": "int16_t",
    "int32": "int32_t",
    "int64": "int64_t",
    "uint8": "uint8_t",
    "uint16": "uint16_t",
    "uint32": "uint32_t",
    "uint64": "uint64_t",
    "float16": "uint16_t",
    "float32": "float",
    "float64": "double",
}


def constants(shapes: Sequence[Variant], name: str, weights: str | None) -> str:
    """What the header defines: of tensors name, type and extents, those of other shapes than the first with the shape's
    number in the name. weights: the name of the file that holds them, if they are mapped."""
    first = shapes[0]
    known = {
        "TARGET": c_string(first.target),
        "SHAPES": len(shapes),
        "INPUTS": len(first.inputs),
        "OUTPUTS": len(first.outputs),
    }
    known |= {} if weights is None else {"WEIGHTS": c_string(weights)}
    lines = [f"#define {name.upper()}_{key} {value}" for key, value in known.items()]
    for number, shape in enumerate(shapes):
        of = f"SHAPE_{number}_" if number else ""
        for side, specs in (("INPUT", shape.inputs), ("OUTPUT", shape.outputs)):
            for index, spec in enumerate(specs):
                lines += [
                    "",
                    f"/* {f'shape {number}, ' if number else ''}{side.lower()} {index}: {commented(spec.name)} */",
                ]
                lines += [
                    f"#define {name.upper()}_{of}{side}_{index}_{key} {value}"
                    for key, value in _described(spec).items()
                ]
    return "\n".join(lines)


def _described(spec: "TensorSpec") -> dict[str, object]:
    return {
        "NAME": c_string(spec.name),
        "TYPE": _TYPES[spec.dtype],
        "RANK": len(spec.shape),
        "SHAPE": _braced(spec.shape),
        "ELEMENTS": prod(spec.shape),
        "BYTES": spec.nbytes,
    } | ({} if spec.quantization is None else {"SCALE": repr(spec.quantization[0]), "ZERO_POINT": spec.quantization[1]})


def tables(shapes: Sequence[Variant], name: str) -> str:
    """What `octet_net.c` looks up: the tensors of every shape, and where its words lie."""
    lines, entries = [], []
    for number, shape in enumerate(shapes):
        counters = [spec.name for spec in shape.outputs]
        for side, specs in (("INPUTS", shape.inputs), ("OUTPUTS", shape.outputs)):
            rows = ",\n".join(f"    {_row(spec, counters, name)}" for spec in specs)
            lines.append(f"static const {name}_tensor {side}_{number}[] = {{\n{rows},\n}};")
        at, count = (shape.words.at, len(shape.words.checks)) if shape.words is not None else (0, 0)
        entries.append(f"{{INPUTS_{number}, OUTPUTS_{number}, {at}, {count}}}")
    return "\n".join([*lines, f"static const shape_of_inputs SHAPES[] = {{{', '.join(entries)}}};"])


def _row(spec: "TensorSpec", counters: Sequence[str], name: str) -> str:
    shape = f"(const int64_t[]){_braced(spec.shape)}" if spec.shape else "NULL"
    axis, by = (spec.counted[0], counters.index(spec.counted[1])) if spec.counted is not None else (-1, -1)
    scale, zero_point = spec.quantization or (1.0, 0)
    kind = f"{name.upper()}_{np.dtype(spec.dtype).name.upper()}"
    return (
        f"{{{c_string(spec.name)}, {kind}, {len(spec.shape)}, {shape}, {prod(spec.shape)}, {spec.nbytes}, "
        f"{int(spec.quantization is not None)}, {scale!r}, {zero_point}, {axis}, {by}}}"
    )


def run_parameters(shape: Variant) -> dict[str, str]:
    """The parameters of `run` in C++: a view per tensor, and what is made of them."""
    inputs, outputs = (
        [(f"{side}{i}", _std(spec)) for i, spec in enumerate(specs)]
        for side, specs in (("input", shape.inputs), ("output", shape.outputs))
    )
    views = [f"View<const {kind}> {name}" for name, kind in inputs] + [f"View<{kind}> {name}" for name, kind in outputs]
    sources, sinks = (", ".join(f"{{{name}.data(), {name}.bytes()}}" for name, _ in side) for side in (inputs, outputs))
    return {"PARAMETERS": ", ".join(views), "SOURCES": sources, "SINKS": sinks}


def _std(spec: "TensorSpec") -> str:
    kind = _TYPES[spec.dtype]
    return f"std::{kind}" if kind.endswith("_t") else kind


def _braced(extents: Sequence[int]) -> str:
    return "{" + ", ".join(map(str, extents)) + "}" if extents else "{1}"
