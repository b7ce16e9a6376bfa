"""What is measured: tasks with compiled candidates, as JSON values that name their blobs (code, constants) by
SHA-256."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Annotated, Literal, get_args

import numpy as np
from msgspec import Meta

from ..kinds.backends import Kind
from ..schema import Count, Digest, Name, Text, checked, parsed
from .random_values import random_bytes

_Bytes = Annotated[int, Meta(ge=0, le=4 << 30)]
_Rounds = Annotated[int, Meta(ge=0, le=1000)]
Role = Literal["input", "constant", "zero", "output"]  # A role says what an operand is to its kernel.
Dtype = Literal["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "float16", "float32", "float64"]


def dtype_of(name: str) -> Dtype:
    """The name, if operands may be of that dtype."""
    found: Dtype | None = next((known for known in get_args(Dtype) if known == name), None)
    assert found is not None, f"no operand travels as {name}"
    return found


@dataclass(frozen=True)
class Input:
    """An operand that is made on the spot: `size` bytes of `random_bytes(seed)`, seen as dtype; float32: sixteenths of
    as many signed bytes as there are elements. sha256: of the operand's bytes."""

    seed: Count
    size: _Bytes
    dtype: Dtype
    sha256: Digest

    @classmethod
    def of(cls, seed: int, size: int, dtype: str) -> "Input":
        """Made here once for its digest, which whoever measures compares with what was made there."""
        return cls(seed, size, dtype_of(dtype), digest(_made(seed, size, dtype)))

    def array(self) -> np.ndarray:
        """The operand, flat. Raises ValueError where it is not what the candidates were made for."""
        made = _made(self.seed, self.size, self.dtype)
        if digest(made) != self.sha256:
            raise ValueError(f"input {self.seed} has another digest here than where the candidates were made")
        return made


def _made(seed: int, size: int, dtype: str) -> np.ndarray:
    if dtype == "float32":  # Arbitrary bytes would be NaNs, infinities and denormal numbers.
        return random_bytes(seed, size // 4).view(np.int8).astype("<f4") / np.float32(16)
    return random_bytes(seed, size).view(dtype)


@dataclass(frozen=True)
class Output:
    """The result buffer: `size` bytes of dtype. What counts are `used` bytes of each of `rows` rows, `pitch` bytes
    apart: sha256 is the referee's of these."""

    size: _Bytes
    dtype: Dtype
    rows: _Bytes
    pitch: _Bytes
    used: _Bytes
    sha256: Digest

    def agrees(self, buffer: np.ndarray) -> bool:
        """Whether a buffer holds what the referee says, byte for byte."""
        raw = buffer.reshape(-1).view(np.uint8)[: self.rows * self.pitch]
        return digest(np.ascontiguousarray(raw.reshape(self.rows, self.pitch)[:, : self.used])) == self.sha256


@dataclass(frozen=True)
class Candidate:
    """A kernel as it is run. schedule: JSON. code: the blob with a cubin or a shared library. function: in there.
    constants: blobs. operands, in order:
    ("input", number), ("constant", number), ("zero", bytes) of memory that is zero at first, ("output", 0). copies: of
    the constants, one for each call of the kernel in a run (shared libraries; on a GPU the runtime decides). grid,
    block, shared: of a launch on a GPU."""

    schedule: dict[Name, bool | int | str]
    code: Digest
    function: Name
    constants: tuple[Digest, ...]
    operands: tuple[tuple[Role, _Bytes], ...]
    copies: Annotated[int, Meta(ge=1, le=1024)] = 1
    grid: tuple[
        Annotated[int, Meta(ge=1, le=(1 << 31) - 1)],
        Annotated[int, Meta(ge=1, le=65535)],
        Annotated[int, Meta(ge=1, le=65535)],
    ] = (1, 1, 1)
    block: Annotated[int, Meta(ge=1, le=1024)] = 1
    shared: Annotated[int, Meta(ge=0, le=1 << 20)] = 0


@dataclass(frozen=True)
class MeasuringTask:
    """A workload with candidates, the analytical default first. key: of the workload; problem: its JSON; name: for
    people; count: kernels of the network."""

    key: Text
    name: Text
    count: Annotated[int, Meta(ge=0, le=1 << 20)]
    problem: dict[Name, object]
    inputs: Annotated[tuple[Input, ...], Meta(max_length=64)]
    output: Output
    candidates: Annotated[tuple[Candidate, ...], Meta(min_length=1, max_length=1 << 14)]


@dataclass(frozen=True)
class MeasuringPlan:
    """How to measure. first, final: interleaved rounds of a first look and of a decision. promising: part of the
    default's time below which a candidate gets a decision. threads: numbers of cores (CPU)."""

    first: _Rounds
    final: _Rounds
    promising: Annotated[float, Meta(ge=0, le=10)]
    threads: Annotated[tuple[Annotated[int, Meta(ge=1, le=4096)], ...], Meta(min_length=1, max_length=64)] = (1,)


@dataclass(frozen=True)
class Job:
    """What a machine is to measure: tasks, and how long. kind: of its backend. target: name; features: what the machine
    must have. key: target, tvm and space of a record's key."""

    kind: Kind
    target: Text
    features: Annotated[tuple[Name, ...], Meta(max_length=128)]
    key: dict[Name, Text | int]
    plan: MeasuringPlan
    tasks: Annotated[tuple[MeasuringTask, ...], Meta(max_length=1 << 14)]

    @property
    def blobs(self) -> frozenset[str]:
        """The digests of everything that must travel with the job."""
        return frozenset(
            name
            for task in self.tasks
            for candidate in task.candidates
            for name in (candidate.code, *candidate.constants)
        )


def digest(data: bytes | np.ndarray) -> str:
    """The SHA-256 of bytes or of a contiguous array, hexadecimal."""
    return hashlib.sha256(
        data.view(np.uint8).data if isinstance(data, np.ndarray) and data.size else bytes(data)
    ).hexdigest()


def to_json(job: Job) -> str:
    """The job as canonical JSON, so that equal jobs have one digest."""
    return json.dumps(asdict(job), sort_keys=True)


def from_json(text: str) -> Job:
    """The job that `to_json` made a text of. Raises ValueError, which names the field, for anything else."""
    return checked(parsed(text), Job)
