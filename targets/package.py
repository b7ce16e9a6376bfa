"""A package: one network compiled for one or more targets, with everything needed to run, check and explain it. No
pickle anywhere.

NAME.octet (see `archive.py`):  manifest.json   variants/<target>/kernels.so   variants/<target>/weights.bin
                                selftest.npz   shapes/<number>/selftest.npz

variants/<target>/kernels.ll.xz, the LLVM IR that kernels.so was made from, and kernels.o.xz, the object file of its
kernels, which no session unpacks (a CUDA target has kernels.fatbin and kernels.cu; its launches stand in the manifest)
"""

import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import archive, detect
from .errors import OctetError, OctetWarning, PackageError
from .manifest.entries import (
    OBJECT,
    clean,
    entry_of,
    library_member,
    shape_entry,
    signature_of,
    tensor_entry,
    variant_of,
    variants_beside,
    with_integer,
)
from .npz import npz_bytes
from .opening import open_session
from .packed import packed_stream
from .runtime import Session
from .seams import JsonObject
from .selftest import read_selftest
from .shaped.session import ShapedSession
from .trust import Signature, Trust, trust_of
from .variant import TensorSpec, Variant

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Package:
    """A compiled network with all that it says of itself. variants: one per target. info: what the manifest says beside
    them (model, calibration, operators, accuracy, ...; JSON values). selftest: arrays "input/NAME" and "output/NAME",
    what a run must give back byte for byte; may be empty. signatures: of the file that it was read from, as
    `archive.Contents` has them; `save` leaves them out. others: the same network for inputs of other shapes: packages
    of the same targets, with the same library and weights (`Variant.shape`). pads: {input: the value with which a
    session may pad its arrays to the next shape}."""

    variants: tuple[Variant, ...]
    info: JsonObject = field(default_factory=JsonObject)
    selftest: dict[str, np.ndarray] = field(default_factory=dict)
    signatures: tuple[Signature, ...] = ()
    others: tuple["Package", ...] = ()
    pads: dict[str, float] = field(default_factory=dict)

    @property
    def shapes(self) -> tuple["Package", ...]:
        """A package for each shape, this one first."""
        return (replace(self, others=(), pads={}), *self.others) if self.others else (self,)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The inputs of the first shape."""
        return self.variants[0].inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The outputs of the first shape."""
        return self.variants[0].outputs

    def save(self, path: "str | os.PathLike[str]") -> int:
        """Writes the package, whole or not at all, and returns its size in bytes. Raises OctetError where it cannot be
        written."""
        text, members = self.written()
        return archive.write(path, text, members, ())

    def written(self) -> tuple[bytes, dict[str, bytes | memoryview]]:
        """What a file of it holds: the manifest, and all other members. The same package is the same bytes."""
        members: dict[str, bytes | memoryview] = {}
        for variant in self.variants:
            members[library_member(variant)] = variant.library
            members[f"variants/{variant.target}/weights.bin"] = np.ascontiguousarray(variant.weights).data
            if variant.source:
                members[f"variants/{variant.target}/{variant.backend.source_member}"] = variant.backend.stored(
                    variant.source
                )
            if variant.object:
                members[f"variants/{variant.target}/{OBJECT}"] = packed_stream(variant.object)
        for number, shape in enumerate(self.shapes):
            if shape.selftest:
                members[_selftest_member(number)] = npz_bytes(shape.selftest)
        manifest = {
            "info": clean(self.info),
            "versions": versions(),
            "inputs": [tensor_entry(spec) for spec in self.inputs],
            "outputs": [tensor_entry(spec) for spec in self.outputs],
            "variants": [entry_of(variant) for variant in self.variants],
        }
        if self.others:
            manifest |= {"shapes": [shape_entry(other.variants) for other in self.others], "pads": self.pads}
        if all(variant.integer is not None for variant in self.variants):
            manifest["integer"] = [
                shape_entry([variant.integer for variant in one.variants if variant.integer is not None])
                for one in self.shapes
            ]
        return archive.manifest_text(
            manifest, members, max(variant.backend.package_format for variant in self.variants)
        ), members

    def best(self, target: str | None = None) -> Variant:
        """The variant of highest rank that runs on this machine, or the one of the named target. Raises PackageError
        where there is none."""
        named = [v for v in self.variants if target in (None, "native", v.target)]
        if not named:
            raise PackageError(
                f"target {target}: the package holds {', '.join(v.target for v in self.variants)}; take one of these"
            )
        able = [v for v in named if not detect.missing(v.features)]
        if not able:
            lacks = "; ".join(f"{v.target} needs {', '.join(detect.missing(v.features))}" for v in named)
            raise PackageError(
                f"this machine lacks features of every variant in the package ({lacks}); compile again with --target "
                "for this machine"
            )
        return max(able, key=lambda v: v.rank)

    def session(
        self, threads: int | None = None, target: str | None = None, streams: int | None = None, pin: bool = False
    ) -> Session | ShapedSession:
        """A session of the best variant for this machine; threads, streams and pin as `Session` has them; one that
        chooses between them where there are several shapes. Where a GPU's driver refuses its variant, of the next one,
        with a warning that says so."""
        best = self.best(target)
        rest = (
            Package(tuple(v for v in self.variants if v is not best), self.info)
            if best.backend.refusable and target is None
            else None
        )
        if rest is None or all(detect.missing(v.features) for v in rest.variants):
            return self._opened(best, target, threads=threads, streams=streams, pin=pin)
        try:
            return self._opened(best, target, threads=threads, streams=streams, pin=pin)
        except OctetError as error:
            warnings.warn(f"{best.target} is left out: {error}", OctetWarning, stacklevel=2)
            session = rest.session(threads, streams=streams, pin=pin)
            session.why = f"the driver refused {best.target}"
            return session

    def _opened(self, variant: Variant, target: str | None, **how: Any) -> Session | ShapedSession:
        first = open_session(variant, **how)
        session: Session | ShapedSession = first
        if self.others:
            place = self.variants.index(variant)
            beside = (open_session(other.variants[place], beside=first, **how) for other in self.others)
            session = ShapedSession((first, *beside), self.pads)
        session.why = "as asked" if target not in (None, "native") else self._reason(variant)
        return session

    def _reason(self, chosen: Variant) -> str:
        """Why the better variants are not taken."""
        better = [v for v in self.variants if v.rank > chosen.rank]
        if not better:
            return "the best variant of the package"
        lacks = [v.backend.lack(v.features) for v in better]
        return "; ".join(f"{v.target} does not run here: {lack}" for v, lack in zip(better, lacks, strict=True))


def read_package(path: str | os.PathLike[str], trust: Trust | None = None) -> Package:
    """Reads and verifies a package: signatures by `trust` [default: by OCTET_KEYS], format, manifest, member list, size
    and SHA-256 of every member. Raises PackageError."""
    contents = archive.read(path, trust or trust_of(None))
    manifest, members = contents.manifest, contents.members
    info = manifest.info | {"versions": manifest.versions}
    try:
        variants = tuple(variant_of(entry, members, *signature_of(manifest)) for entry in manifest.variants)
        shapes = [
            (variants, manifest),
            *((variants_beside(number, shape, variants), shape) for number, shape in enumerate(manifest.shapes, 1)),
        ]
        shapes = [
            (with_integer(made, len(shapes) + i, manifest.integer[i : i + 1]), shape)
            for i, (made, shape) in enumerate(shapes)
        ]
        variants = shapes[0][0]
        others = tuple(
            Package(made, info, _recorded(members, number, shape)) for number, (made, shape) in enumerate(shapes[1:], 1)
        )
        selftest = _recorded(members, 0, manifest)
    except KeyError as error:
        raise PackageError(f"{path}: member {error.args[0]} is missing; compile it again") from error
    except ValueError as error:
        raise PackageError(f"{path}: {error}; compile it again") from error
    return Package(variants, info, selftest, contents.signatures, others, manifest.pads)


def load(
    path: "str | os.PathLike[str]",
    threads: int | None = None,
    target: str | None = None,
    keys: Iterable[str | os.PathLike[str] | bytes] | str | os.PathLike[str] | bytes | None = None,
    signers: int | None = None,
    streams: int | None = None,
    pin: bool = False,
) -> Session | ShapedSession:
    """Verifies a package and opens the best variant that this machine can run (or that of `target`). Raises
    PackageError in one line otherwise.

    threads, streams, pin: as `Session` has them.
    keys: files of Ed25519 public keys, or their PEM as bytes: at least `signers` (default 1) different ones must have
    signed the package as it is, or none of its code is loaded. None for the keys that OCTET_KEYS names (and the number
    in OCTET_SIGNERS); without those a package is loaded whoever made it."""
    return read_package(path, trust_of(keys, signers)).session(threads, target, streams, pin)


def selftest_of(session: Session, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The self-test vectors of a package: these inputs and what the session answers."""
    outputs = session.run(inputs)
    return {f"input/{k}": np.asarray(v) for k, v in inputs.items()} | {f"output/{k}": v for k, v in outputs.items()}


def failed_outputs(session: Session, selftest: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Runs the self-test; the names of the outputs that are not what they were at compile time, byte for byte."""
    inputs = {key.removeprefix("input/"): value for key, value in selftest.items() if key.startswith("input/")}
    outputs = session.run(inputs)
    return tuple(name for name, value in outputs.items() if value.tobytes() != selftest[f"output/{name}"].tobytes())


def versions() -> dict[str, str]:
    """The versions of Octet and TVM that make packages here, by the name of their distribution."""
    from importlib.metadata import PackageNotFoundError, version  # Loading a package does not need this import.

    found = {}
    for name in ("octet", "apache-tvm", "apache-tvm-ffi"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def size_of(path: str) -> int:
    """Bytes of a file."""
    return Path(path).stat().st_size


def _selftest_member(shape: int) -> str:
    return f"shapes/{shape}/selftest.npz" if shape else "selftest.npz"


def _recorded(members: Mapping[str, bytes | memoryview], number: int, signature: Any) -> dict[str, np.ndarray]:
    """The self-test vectors of a shape, {} where there are none."""
    data = members.get(_selftest_member(number))
    return {} if data is None else read_selftest(bytes(data), signature.inputs, signature.outputs)
