"""A package -> a folder with a C library, its headers, and a program that checks it."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import detect
from ..errors import PackageError
from ..native.link import room_to_build
from ..package import Package
from ..schema import printable
from ..variant import Variant
from .c_library import OURS, shared, static, write_sources
from .c_names import commented
from .features import feature_table, machine_of
from .folder import check_folder, write_folder
from .tensors import constants, run_parameters, tables

if TYPE_CHECKING:
    import os


@dataclass(frozen=True)
class ExportForm:
    """The form of a C library that users choose. static: an archive instead of a shared library. mapped: the weights in
    a file of their own, which sessions map into memory. codes: quantised inputs and outputs are int8 codes instead of
    float32."""

    static: bool = False
    mapped: bool = False
    codes: bool = False


def export(
    package: Package,
    folder: "str | os.PathLike[str]",
    name: str,
    target: str | None = None,
    form: ExportForm = ExportForm(),
) -> tuple[Variant, dict[str, int]]:
    """Writes the folder, whole or not at all, and returns the variant that it holds and {file: bytes}. name: as
    `check_name` allows. target: of the package's variants [default: the best one for this machine]. Raises OctetError
    for a folder that holds other files, without a C compiler, and for variants that cannot be exported: of GPUs, and of
    packages without the kernels' object file."""
    check_folder(folder, _all_names(name))
    variant = chosen_variant(package, target)
    number = next(i for i, one in enumerate(package.variants) if one is variant)
    shapes = [one.variants[number] for one in package.shapes]
    if form.codes:
        if variant.integer is None:
            raise PackageError(
                "--io int8: the package has no code for callers that quantise; compile it with: compile-model ... "
                "--io int8"
            )
        shapes = [one.integer for one in shapes if one.integer is not None]
    files = _texts(package, shapes, name, form)
    with room_to_build() as temporary:
        place = Path(temporary)
        (place / f"{name}.h").write_bytes(files[f"{name}.h"])
        sources = write_sources(place, name, shapes, session_source(shapes, name, form))
        machine = machine_of(variant.features)
        assert machine is not None, "a variant was chosen that there is one for"
        made = (static if form.static else shared)(place, name, sources, machine)
        files[made.name] = made.read_bytes()
    write_folder(folder, files, _all_names(name))
    return variant, {file: len(data) for file, data in files.items()}


def chosen_variant(package: Package, target: str | None) -> Variant:
    """The variant of that name, or the best one that this machine runs, for CPUs. Raises OctetError."""
    cpus = [one for one in package.variants if one.backend.exports]
    names = ", ".join(one.target for one in cpus) or "none of this package, compile it with a --target for CPUs"
    if target in (None, "native"):
        if not cpus:
            raise PackageError(
                f"the package holds {', '.join(one.target for one in package.variants)} only, and export is for CPUs; "
                "compile it with a --target for CPUs as well"
            )
        able = [one for one in cpus if not detect.missing(one.features)]
        if not able:
            raise PackageError(
                f"this machine runs no variant of the package; name the one to export with --target: {names}"
            )
        variant = max(able, key=lambda one: one.rank)
    else:
        named = [one for one in package.variants if one.target == target]
        if not named:
            raise PackageError(
                f"--target {target}: the package holds {', '.join(one.target for one in package.variants)}; take one "
                "of these for CPUs"
            )
        variant = named[0]
        if not variant.backend.exports:
            raise PackageError(f"--target {target}: runs on a GPU, and export is for CPUs; take one of these: {names}")
    if machine_of(variant.features) is None:
        known = [one.target for one in cpus if machine_of(one.features) is not None]
        raise PackageError(
            f"target {variant.target}: export knows no processor with {', '.join(sorted(variant.features))}; take one "
            f"of these: {', '.join(known) or 'none of this package'}"
        )
    if not variant.object:
        raise PackageError(
            f"target {variant.target}: the package lacks the object file of its kernels (kernels.o.xz), as an earlier "
            "octet wrote it; compile it again"
        )
    return variant


def session_source(shapes: Sequence[Variant], name: str, form: ExportForm) -> str:
    """The C source of the functions that the header declares."""
    texts = [feature_table(shapes[0].features), tables(shapes, name)]
    if form.mapped:
        weights = shapes[0].weights.tobytes()
        texts.append(f"#define WEIGHTS_BYTES UINT64_C({len(weights)})")
        texts.append(
            "static const unsigned char WEIGHTS_DIGEST[] = "
            f"{{{', '.join(map(str, hashlib.sha256(weights).digest()))}}};"
        )
    return _filled("octet_net.c", name, TABLES="\n".join(texts))


def _texts(package: Package, shapes: Sequence[Variant], name: str, form: ExportForm) -> dict[str, bytes]:
    """Everything in the folder but the library."""
    variant, weights = shapes[0], f"{name}.weights" if form.mapped else None
    about = (
        f"{name}: {commented(printable(str(package.info.get('model', {}).get('name', name))))}, compiled by Octet for "
        f"{variant.target}."
    )
    kind = (
        {"KIND": "STATIC", "LIBRARY": f"lib{name}.a", "LIBRARIES": "m;pthread"}
        if form.static
        else {"KIND": "SHARED", "LIBRARY": f"lib{name}.so", "LIBRARIES": ""}
    )
    files = {
        f"{name}.h": _filled("octet_net.h", name, ABOUT=about, CONSTANTS=constants(shapes, name, weights)),
        f"{name}.hpp": _filled("octet_net.hpp", name, **run_parameters(variant)),
        "main.c": _filled("main.c", name),
        "CMakeLists.txt": _filled("CMakeLists.txt", name, **kind),
    }
    binary = (
        {}
        if weights is None
        else {weights: variant.weights.tobytes() + hashlib.sha256(variant.weights.tobytes()).digest()}
    )
    if all(one.selftest for one in package.shapes):
        binary[f"{name}.selftest"] = b"".join(map(_recorded, package.shapes, shapes))
    return {file: text.encode() for file, text in files.items()} | binary


def _recorded(recorded: Package, shape: Variant) -> bytes:
    """Inputs and outputs of the self-test in order, each of the size and the type that its shape says: what was
    recorded in float as codes, where it takes those."""
    parts = []
    for side, specs in (("input", shape.inputs), ("output", shape.outputs)):
        for spec in specs:
            whole, array = np.zeros(spec.shape, spec.dtype), recorded.selftest[f"{side}/{spec.name}"]
            whole[tuple(map(slice, array.shape))] = (
                array if spec.quantization is None else codes(array, *spec.quantization)
            )
            parts.append(whole.tobytes())
    return b"".join(parts)


def codes(values: np.ndarray, scale: float, zero_point: int) -> np.ndarray:
    """The int8 codes of float32 values: clip(rne(x / s) + z, -128, 127), as a compiled network quantises."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.clip(np.rint(values / np.float32(scale)) + np.float32(zero_point), -128, 127).astype(np.int8)


def _filled(template: str, name: str, **texts: str) -> str:
    """A template with its texts, and the library's name in the place of octet_net."""
    text = (OURS / template).read_text().replace("octet_net", name).replace("OCTET_NET", name.upper())
    return re.sub("@([A-Z]+)@", lambda found: texts[found[1]], text)


def _all_names(name: str) -> frozenset[str]:
    """Of all files that an export of this name can write, in any form."""
    return frozenset(
        {"main.c", "CMakeLists.txt"}
        | {f"{name}{end}" for end in (".h", ".hpp", ".selftest", ".weights")}
        | {f"lib{name}.so", f"lib{name}.a"}
    )
