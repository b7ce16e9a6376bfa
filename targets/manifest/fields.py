"""The fields of manifest.json, with the types and ranges that each may have."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from ..kinds.backends import PROCESSORS, Kind
from ..schema import Count, Digest, Name, Size, Text
from ..variant import Launch, Step, TensorSpec
from ..watch.described import WordsEntry

MOST_TENSORS, MOST_VARIANTS, MOST_STEPS, MOST_FEATURES, MOST_SHAPES = 4096, 32, 1 << 16, 128, 64
_Extent = Annotated[int, Meta(ge=0, le=(1 << 31) - 1)]
_Numeric = Literal[
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"
]


class Tensor(Struct):
    """An input or output. counted: (axis, the output that says how many of its elements are meant)."""

    name: Name
    shape: Annotated[tuple[_Extent, ...], Meta(max_length=16)]
    dtype: _Numeric
    batch_axis: int | None = 0
    counted: tuple[Annotated[int, Meta(ge=0, le=15)], Name] | None = None
    quantization: tuple[Annotated[float, Meta(gt=0, le=1e38)], Annotated[int, Meta(ge=-128, le=127)]] | None = None

    @property
    def spec(self) -> TensorSpec:
        """The tensor as callers of a session see it."""
        return TensorSpec(self.name, self.shape, self.dtype, self.batch_axis, self.counted, self.quantization)

    @property
    def nbytes(self) -> int:
        """Bytes of the whole tensor, of the batch that the variant was built for."""
        return self.spec.nbytes


class _Step(Struct):
    name: Name
    operator: Text
    kernel: Text
    dtype: Text
    macs: Count = 0
    bytes: Count = 0
    layer: Text = ""
    schedule: Text = ""
    source: Text = ""
    workload: Text = ""

    @property
    def step(self) -> Step:
        return Step(*(getattr(self, name) for name in self.__struct_fields__))


class _Launch(Struct):
    """The limits are those of every CUDA device."""

    function: Annotated[str, Meta(pattern=r"^[A-Za-z_$][A-Za-z0-9_$]{0,1023}\Z")]
    grid: tuple[
        Annotated[int, Meta(ge=1, le=(1 << 31) - 1)],
        Annotated[int, Meta(ge=1, le=65535)],
        Annotated[int, Meta(ge=1, le=65535)],
    ]
    block: Annotated[int, Meta(ge=1, le=1024)]
    shared: Annotated[int, Meta(ge=0, le=227 << 10)]
    operands: Annotated[tuple[tuple[Literal["weights", "arena", "input", "output"], Count], ...], Meta(max_length=256)]

    @property
    def launch(self) -> Launch:
        return Launch(self.function, self.grid, self.block, self.shared, self.operands)


class Entry(Struct):
    """One variant, as a manifest describes it."""

    target: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")]
    features: Annotated[tuple[Name, ...], Meta(max_length=MOST_FEATURES)]
    rank: Annotated[int, Meta(ge=-(1 << 31), le=1 << 31)]
    name: Text
    arena_bytes: Size
    steps: Annotated[tuple[_Step, ...], Meta(max_length=MOST_STEPS)]
    kind: Kind = PROCESSORS
    launches: Annotated[tuple[_Launch, ...], Meta(max_length=MOST_STEPS)] = ()
    lane_bytes: Size = 0
    loops: Annotated[
        tuple[tuple[Count, Count, Annotated[int, Meta(ge=1, le=1 << 20)]], ...], Meta(max_length=MOST_STEPS)
    ] = ()
    words: WordsEntry | None = None


class _OfShape(Struct):
    """What a variant has of its own for one shape."""

    arena_bytes: Size
    steps: Annotated[tuple[_Step, ...], Meta(max_length=MOST_STEPS)]
    lane_bytes: Size = 0
    loops: Annotated[
        tuple[tuple[Count, Count, Annotated[int, Meta(ge=1, le=1 << 20)]], ...], Meta(max_length=MOST_STEPS)
    ] = ()
    words: WordsEntry | None = None


class Shape(Struct):
    """Another shape of the inputs. variants: in the order of the manifest's."""

    inputs: Annotated[tuple[Tensor, ...], Meta(min_length=1, max_length=MOST_TENSORS)]
    outputs: Annotated[tuple[Tensor, ...], Meta(min_length=1, max_length=MOST_TENSORS)]
    variants: Annotated[tuple[_OfShape, ...], Meta(min_length=1, max_length=MOST_VARIANTS)]


class Member(Struct):
    """A file of the package: its length, and the SHA-256 of its bytes."""

    bytes: Size
    sha256: Digest


class _Model(Struct):
    name: Text
    sha256: Digest
    batch: Annotated[int, Meta(ge=1)]


class _Recipe(Struct):
    floats: Text = "fp32"


class _Reason(Struct):
    name: Text
    operator: Text
    reason: Text


class _Operators(Struct):
    int8: Count
    float: Count
    reasons: Annotated[list[_Reason], Meta(max_length=MOST_STEPS)]


class _Accuracy(Struct):
    """A score of null is not finite."""

    metric: Text
    fp32: float | None
    int8: float | None
    samples: Count


class _Layer(Struct):
    name: Text
    operator: Text
    int8_us: float
    float_us: float


class _Network(Struct):
    target: Text
    int8_ms: float
    chosen_ms: float


class _Policy(Struct):
    how: Text
    target: Text
    layers: Annotated[list[_Layer], Meta(max_length=MOST_STEPS)]
    rejected: (
        Annotated[list[Any], Meta(max_length=MOST_STEPS)]
        | Annotated[dict[str, Any], Meta(max_length=MOST_STEPS)]
        | None
    ) = None
    networks: Annotated[list[_Network], Meta(max_length=MOST_VARIANTS)] = []
    conversions_int8_us: float | msgspec.UnsetType = msgspec.UNSET
    conversions_chosen_us: float | msgspec.UnsetType = msgspec.UNSET
    int8_us: float | msgspec.UnsetType = msgspec.UNSET
    chosen_us: float | msgspec.UnsetType = msgspec.UNSET


class _Padding(Struct):
    proved: bool
    reason: Text | None = None


class Info(Struct):
    """What commands print; the values themselves stay as they are. Everything may be missing (a package of one's own),
    nothing may be of another kind."""

    model: _Model | msgspec.UnsetType = msgspec.UNSET
    recipe: _Recipe | msgspec.UnsetType = msgspec.UNSET
    operators: _Operators | msgspec.UnsetType = msgspec.UNSET
    accuracy: _Accuracy | msgspec.UnsetType = msgspec.UNSET
    policy: _Policy | None = None
    padding: _Padding | None = None
    # A session's answers are given by the compiled code alone, or by the referee too.
    self_test: dict[Literal["by"], Literal["compiled", "referee"]] = {}


class Manifest(Struct):
    """All that a package says of itself; everything else in it is bytes that this names."""

    format: int
    info: dict[str, object]
    versions: Annotated[dict[Name, Text], Meta(max_length=64)]
    inputs: Annotated[tuple[Tensor, ...], Meta(min_length=1, max_length=MOST_TENSORS)]
    outputs: Annotated[tuple[Tensor, ...], Meta(min_length=1, max_length=MOST_TENSORS)]
    variants: Annotated[tuple[Entry, ...], Meta(min_length=1, max_length=MOST_VARIANTS)]
    members: Annotated[dict[Name, Member], Meta(max_length=4 * MOST_VARIANTS + MOST_SHAPES)]
    shapes: Annotated[tuple[Shape, ...], Meta(max_length=MOST_SHAPES - 1)] = ()
    pads: Annotated[dict[Name, int | float], Meta(max_length=MOST_TENSORS)] = msgspec.field(default_factory=dict)
    # Callers that quantise take these, one for every shape.
    integer: Annotated[tuple[Shape, ...], Meta(max_length=MOST_SHAPES)] = ()
