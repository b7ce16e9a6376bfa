"""A compiled network for one target: what `passes/lower/build.py` makes, packages hold and sessions run."""

from dataclasses import dataclass, field
from math import prod

import numpy as np

from .kinds.backend import Backend
from .kinds.backends import BACKENDS, PROCESSORS
from .packed import Packed, PackedText
from .seams import JsonObject
from .watch.words import Words

WEIGHT_ALIGNMENT = 64  # The blob and the arena start on a boundary of 64 bytes, which one 512-bit vector takes.


@dataclass(frozen=True)
class TensorSpec:
    """An input or output as the caller sees it. shape: logical and static. dtype: NumPy's name, e.g. "float32".
    batch_axis: the axis along which the samples of a run lie; None where a run takes or gives one array for all of
    them.
    counted: of an output (axis, output): along this axis only the first elements are results, as many as that output
    (int64 [1]) says; what lies behind them is anything. `Session.run` leaves it out.
    quantization: of a tensor of codes (scale, zero point): a code q stands for scale * (q - zero_point)."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    batch_axis: int | None = 0
    counted: tuple[int, str] | None = None
    quantization: tuple[float, int] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(extent) for extent in self.shape))

    @property
    def nbytes(self) -> int:
        """Bytes of an array of this shape and dtype."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize


def suffix(shape: int) -> str:
    """How the functions of one shape end in the library that all shapes of a package share."""
    return f"_{shape}" if shape else ""


def can_pad(dtype: str, value: float) -> bool:
    """Whether tensors of a dtype hold the value."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        with np.errstate(over="ignore"):
            return bool(np.isfinite(kind.type(value)))
    limits = (0, 1) if kind.kind == "b" else (np.iinfo(kind).min, np.iinfo(kind).max)
    return value == int(value) and limits[0] <= value <= limits[1]


@dataclass(frozen=True)
class Step:
    """One kernel call. name: unique in the variant. operator: e.g. "octet.conv2d". kernel: the family that does it,
    e.g. "amx_conv2d", or "fallback".
    dtype: "int8", "float32" or "bfloat16". macs: multiply-adds of one run (0 for data movement). bytes: bytes read and
    written once.
    layer: the name of the ONNX node it came from, "" when unknown. Of kernels that can be tuned: schedule: in words;
    source: "default" or the record that it came from; workload: JSON of what it was tuned for (x86/workload.py)."""

    name: str
    operator: str
    kernel: str
    dtype: str
    macs: int = 0
    bytes: int = 0
    layer: str = ""
    schedule: str = ""
    source: str = ""
    workload: str = ""


@dataclass(frozen=True)
class Launch:
    """One launch of a GPU kernel. grid: blocks (x, y, z). block: threads. shared: bytes of dynamic shared memory.
    operands: where each lies:
    ("weights" | "arena", offset in bytes) or ("input" | "output", number)."""

    function: str
    grid: tuple[int, int, int]
    block: int
    shared: int
    operands: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Variant:
    """A network compiled for one target. kind "cuda": library is a fatbin (machine code and PTX) of `source` (CUDA
    C++), launches are one per step. kind "cpu": library: bytes of a shared object, made from `source` (LLVM IR, as
    `x86/emulation` reads it, packed where it comes from a package; "" where nobody keeps it), that exports what
    `native/stream.h` says. weights: uint8, all constants, each 64-byte aligned. object: of kind "cpu", the kernels
    alone as a relocatable object file, which `standalone` links into libraries for other programs; b"" where nobody
    keeps it. arena_bytes: size of the buffer for intermediates, zero before the first run of kind "cuda". steps: in
    order of execution. features: CPU flags the code needs. loops: (first step, behind its last one, chunks): steps that
    run on a part of the batch at a time, so often; each thread has a lane of lane_bytes for them. shape: number of the
    package's shape that it is for. Variants of one target for several shapes have one library and one blob of weights;
    the functions of all but the first have `suffix` in their names. words: of a watched network, what a run notes in
    the arena. integer: the same network for callers that quantise, in the same library: a variant of another `shape`,
    whose quantised inputs and outputs are int8 codes."""

    target: str
    library: bytes
    weights: np.ndarray
    arena_bytes: int
    steps: tuple[Step, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    features: frozenset[str] = frozenset()
    rank: int = 0
    name: str = ""
    kind: str = PROCESSORS
    launches: tuple[Launch, ...] = ()
    source: str | PackedText = ""
    object: bytes | Packed = b""
    lane_bytes: int = 0
    loops: tuple[tuple[int, int, int], ...] = ()
    shape: int = 0
    words: Words | None = None
    integer: "Variant | None" = None
    extra: JsonObject = field(default_factory=dict, compare=False, hash=False)

    def __post_init__(self) -> None:
        assert self.weights.dtype == np.uint8 and self.weights.ndim == 1, "weights are one flat uint8 blob"
        assert self.arena_bytes >= 0, self.arena_bytes
        assert len(self.launches) == (len(self.steps) if self.backend.launches else 0)
        assert self.inputs and self.outputs, "a network has inputs and outputs"

    @property
    def backend(self) -> Backend:
        """The backend of the variant's kind, which runs it."""
        return BACKENDS[self.kind]
