"""What statistics depend on, by content: the graph, the weights, the inputs' form and the samples."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from tvm import IRModule, relax

from octet.targets.samples import digest_of
from octet.targets.stored_array import Array

from ..annotate.graph import is_constant
from ..constants import array_of
from ..ops import attrs_of, shape_of
from ..rewriting.identities import Identities

_FORMAT = 5  # The format counts up when statistics count other things, or count them otherwise.
_PLAIN = re.compile(r"[\w./:#-]+")
_DIGITS = 16  # An identity keeps so many hexadecimal digits of a digest.


def _version() -> str:
    try:
        return f"{version('octet')}, statistics {_FORMAT}"
    except PackageNotFoundError:
        return f"statistics {_FORMAT}"


@dataclass(frozen=True)
class Identity:
    """What statistics depend on: the network, the samples and Octet's version.

    graph, weights: {variable: digest} of the canonical network: operator, attributes and operands; constant
    operands. inputs: {input: dtype and shape}, the batch included. data: {input: digest of the samples}, of shards one
    after the other. samples: how many. version: of Octet."""

    graph: Mapping[str, str]
    weights: Mapping[str, str]
    inputs: Mapping[str, str]
    data: tuple[Mapping[str, str], ...] = ()
    samples: int = 0
    version: str = field(default_factory=_version)

    @property
    def key(self) -> str:
        """The SHA-256 of the whole identity, by which files are found again."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the network's inputs, by name."""
        return {name: tuple(map(int, re.findall(r"\d+", text.partition(" ")[2]))) for name, text in self.inputs.items()}

    def with_data(self, arrays: Mapping[str, Array]) -> "Identity":
        """The identity of the network together with these calibration samples."""
        digests = {name: digest_of(array) for name, array in sorted(arrays.items())}
        return Identity(
            self.graph, self.weights, self.inputs, (digests,), len(next(iter(arrays.values()))), self.version
        )

    def same_network(self, other: "Identity") -> bool:
        """Whether they differ in their data at most."""
        return (self.graph, self.weights, self.inputs, self.version) == (
            other.graph,
            other.weights,
            other.inputs,
            other.version,
        )

    def stale(self, other: "Identity", data: bool = True) -> str | None:
        """Why statistics with this identity do not serve for `other`, with the first thing that differs; None if they
        do. data: whether samples count."""
        if self.version != other.version:
            return f"Octet's version changed ({self.version}; now {other.version})"
        for name, said in (
            ("inputs", "the batch or the preprocessing changed (input {!r})"),
            ("graph", "the graph changed ({!r})"),
            ("weights", "weights changed ({!r})"),
        ):
            differing = _first_difference(getattr(self, name), getattr(other, name))
            if differing is not None:
                return said.format(differing)
        if not data or self.data == other.data:
            return None
        if self.samples != other.samples:
            return f"it is of {self.samples} samples, asked for are {other.samples}"
        for ours, theirs in zip(self.data, other.data):
            differing = _first_difference(ours, theirs)
            if differing is not None:
                return f"the calibration data changed (input {differing!r})"
        return "the calibration data changed"


def _first_difference(ours: Mapping[str, str], theirs: Mapping[str, str]) -> str | None:
    return next((name for name in (*theirs, *ours) if ours.get(name) != theirs.get(name)), None)


def network_identity(mod: IRModule) -> Identity:
    """The identity of a canonical fp32 network, without samples."""
    main, graph, weights = mod["main"], {}, {}
    for block in main.body.blocks:
        for binding in block.bindings:
            name, constants = binding.var.name, hashlib.sha256()
            text = _described(binding.value, constants)
            graph[name] = hashlib.sha256(f"{text} {binding.var.ty}".encode()).hexdigest()[:_DIGITS]
            if constants.digest() != hashlib.sha256().digest():
                weights[name] = constants.hexdigest()[:_DIGITS]
    graph[Identities(graph).unique("results")] = hashlib.sha256(str(main.body.body).encode()).hexdigest()[:_DIGITS]
    inputs = {p.name: f"{p.ty.dtype} {list(shape_of(p))}" for p in main.params}
    return Identity(graph, weights, inputs)


def _described(value: relax.Expr, constants: Any) -> str:
    """`value` in words; its constants' values go into the digest."""
    if is_constant(value):
        array = array_of(value)
        constants.update(f"{array.dtype} {array.shape}".encode())
        constants.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
        return f"constant {array.dtype} {array.shape}"
    if isinstance(value, relax.Var):
        return value.name if _PLAIN.fullmatch(value.name) else repr(value.name)  # No name may read like two operands.
    if isinstance(value, relax.Tuple):
        return f"({', '.join(_described(field, constants) for field in value.fields)})"
    if isinstance(value, relax.TupleGetItem):
        return f"{_described(value.tuple_value, constants)}[{value.index}]"
    if isinstance(value, relax.Call):
        operator = getattr(value.op, "name", None) or str(value.op)
        return (
            f"{operator}({', '.join(_described(arg, constants) for arg in value.args)}) "
            f"{sorted(attrs_of(value).items(), key=str)}"
        )
    return str(value)
