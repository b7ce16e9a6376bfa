"""What is measured: tasks with compiled candidates, as JSON values that name their blobs (code, constants) by SHA-256."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields

import numpy as np

from .values import random_bytes


@dataclass(frozen=True)
class Input:
    """An operand that is made on the spot: `size` bytes of `random_bytes(seed)`, seen as dtype; float32: sixteenths of as many signed bytes as there are
    elements. sha256: of the operand's bytes."""

    seed: int
    size: int
    dtype: str
    sha256: str

    @classmethod
    def of(cls, seed: int, size: int, dtype: str) -> "Input":
        return cls(seed, size, dtype, digest(_made(seed, size, dtype)))

    def array(self) -> np.ndarray:
        """The operand, flat. Raises ValueError where it is not what the candidates were made for."""
        made = _made(self.seed, self.size, self.dtype)
        if digest(made) != self.sha256:
            raise ValueError(f"input {self.seed} has another digest here than where the candidates were made")
        return made


def _made(seed, size, dtype):
    if dtype == "float32":  # arbitrary bytes would be NaNs, infinities and denormal numbers
        return random_bytes(seed, size // 4).view(np.int8).astype("<f4") / np.float32(16)
    return random_bytes(seed, size).view(dtype)


@dataclass(frozen=True)
class Output:
    """The result buffer: `size` bytes of dtype. What counts are `used` bytes of each of `rows` rows, `pitch` bytes apart: sha256 is the referee's of these."""

    size: int
    dtype: str
    rows: int
    pitch: int
    used: int
    sha256: str

    def agrees(self, buffer: np.ndarray) -> bool:
        """Whether a buffer holds what the referee says, byte for byte."""
        raw = buffer.reshape(-1).view(np.uint8)[: self.rows * self.pitch]
        return digest(np.ascontiguousarray(raw.reshape(self.rows, self.pitch)[:, : self.used])) == self.sha256


@dataclass(frozen=True)
class Candidate:
    """A kernel as it is run. schedule: JSON. code: the blob with a cubin or a shared library. function: in there. constants: blobs. operands, in order:
    ("input", number), ("constant", number), ("zero", bytes) of memory that is zero at first, ("output", 0). copies: of the constants, one for each call
    of the kernel in a run (shared libraries; on a GPU the runtime decides). grid, block, shared: of a launch on a GPU."""

    schedule: dict
    code: str
    function: str
    constants: tuple[str, ...]
    operands: tuple[tuple[str, int], ...]
    copies: int = 1
    grid: tuple[int, int, int] = (1, 1, 1)
    block: int = 1
    shared: int = 0


@dataclass(frozen=True)
class Task:
    """A workload with candidates, the analytical default first. key: of the workload; problem: its JSON; name: for people; count: kernels of the network."""

    key: str
    name: str
    count: int
    problem: dict
    inputs: tuple[Input, ...]
    output: Output
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class Plan:
    """How to measure. first, final: interleaved rounds of a first look and of a decision. promising: part of the default's time below which a candidate
    gets a decision. threads: numbers of cores (CPU)."""

    first: int
    final: int
    promising: float
    threads: tuple[int, ...] = (1,)


@dataclass(frozen=True)
class Job:
    """kind: "cpu" or "cuda". target: name; features: what the machine must have. key: target, tvm and space of a record's key."""

    kind: str
    target: str
    features: tuple[str, ...]
    key: dict
    plan: Plan
    tasks: tuple[Task, ...]

    @property
    def blobs(self) -> frozenset[str]:
        """The digests of everything that must travel with the job."""
        return frozenset(name for task in self.tasks for candidate in task.candidates for name in (candidate.code, *candidate.constants))


def digest(data) -> str:
    """SHA-256 of bytes or of a contiguous array, hexadecimal."""
    return hashlib.sha256(memoryview(data).cast("B") if isinstance(data, np.ndarray) and data.size else bytes(data)).hexdigest()


def to_json(job: Job) -> str:
    """Canonical."""
    return json.dumps(asdict(job), sort_keys=True)


def from_json(text: str) -> Job:
    """Raises KeyError, TypeError or ValueError for anything else."""
    entry = json.loads(text)
    tasks = tuple(_task(task) for task in entry["tasks"])
    plan = Plan(**entry["plan"] | {"threads": tuple(entry["plan"]["threads"])})
    return Job(**entry | {"features": tuple(entry["features"]), "plan": plan, "tasks": tasks})


def _task(entry):
    inputs, candidates = tuple(Input(**one) for one in entry["inputs"]), tuple(_candidate(one) for one in entry["candidates"])
    if len(candidates) < 1:
        raise ValueError("a task without a default")
    return Task(**entry | {"inputs": inputs, "output": Output(**entry["output"]), "candidates": candidates})


def _candidate(entry):
    made = {field.name: entry[field.name] for field in fields(Candidate)}
    operands = tuple((str(kind), int(number)) for kind, number in made["operands"])
    return Candidate(**made | {"constants": tuple(made["constants"]), "operands": operands, "grid": tuple(made["grid"])})
