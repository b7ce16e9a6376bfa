"""What manifest.json says, checked as a whole before anything in the package is used: types, ranges, printable unique names, and sizes against each other.

A manifest whose digests match may still have been written by hand."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from .kinds.table import BACKENDS, PROCESSORS, Kind
from .schema import Count, Digest, Name, Size, Text, checked
from .variant import Launch, Step, TensorSpec, can_pad
from .watch.described import WordsEntry, check_words

MOST_TENSORS, MOST_VARIANTS, MOST_STEPS, MOST_FEATURES, MOST_SHAPES = 4096, 32, 1 << 16, 128, 64
_Extent = Annotated[int, Meta(ge=0, le=(1 << 31) - 1)]
_Numeric = Literal["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"]


class Tensor(Struct):
    name: Name
    shape: Annotated[tuple[_Extent, ...], Meta(max_length=16)]
    dtype: _Numeric
    batch_axis: int | None = 0
    counted: tuple[Annotated[int, Meta(ge=0, le=15)], Name] | None = None
    quantization: tuple[Annotated[float, Meta(gt=0, le=1e38)], Annotated[int, Meta(ge=-128, le=127)]] | None = None

    @property
    def spec(self) -> TensorSpec:
        return TensorSpec(self.name, self.shape, self.dtype, self.batch_axis, self.counted, self.quantization)

    @property
    def nbytes(self) -> int:
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
    grid: tuple[Annotated[int, Meta(ge=1, le=(1 << 31) - 1)], Annotated[int, Meta(ge=1, le=65535)], Annotated[int, Meta(ge=1, le=65535)]]
    block: Annotated[int, Meta(ge=1, le=1024)]
    shared: Annotated[int, Meta(ge=0, le=227 << 10)]
    operands: Annotated[tuple[tuple[Literal["weights", "arena", "input", "output"], Count], ...], Meta(max_length=256)]

    @property
    def launch(self) -> Launch:
        return Launch(self.function, self.grid, self.block, self.shared, self.operands)


class Entry(Struct):
    """One variant."""

    target: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")]
    features: Annotated[tuple[Name, ...], Meta(max_length=MOST_FEATURES)]
    rank: Annotated[int, Meta(ge=-(1 << 31), le=1 << 31)]
    name: Text
    arena_bytes: Size
    steps: Annotated[tuple[_Step, ...], Meta(max_length=MOST_STEPS)]
    kind: Kind = PROCESSORS
    launches: Annotated[tuple[_Launch, ...], Meta(max_length=MOST_STEPS)] = ()
    lane_bytes: Size = 0
    loops: Annotated[tuple[tuple[Count, Count, Annotated[int, Meta(ge=1, le=1 << 20)]], ...], Meta(max_length=MOST_STEPS)] = ()
    words: WordsEntry | None = None


class _OfShape(Struct):
    """What a variant has of its own for one shape."""

    arena_bytes: Size
    steps: Annotated[tuple[_Step, ...], Meta(max_length=MOST_STEPS)]
    lane_bytes: Size = 0
    loops: Annotated[tuple[tuple[Count, Count, Annotated[int, Meta(ge=1, le=1 << 20)]], ...], Meta(max_length=MOST_STEPS)] = ()
    words: WordsEntry | None = None


class Shape(Struct):
    """Another shape of the inputs. variants: in the order of the manifest's."""

    inputs: Annotated[tuple[Tensor, ...], Meta(min_length=1, max_length=MOST_TENSORS)]
    outputs: Annotated[tuple[Tensor, ...], Meta(min_length=1, max_length=MOST_TENSORS)]
    variants: Annotated[tuple[_OfShape, ...], Meta(min_length=1, max_length=MOST_VARIANTS)]


class Member(Struct):
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
    rejected: Annotated[list, Meta(max_length=MOST_STEPS)] | Annotated[dict, Meta(max_length=MOST_STEPS)] | None = None
    networks: Annotated[list[_Network], Meta(max_length=MOST_VARIANTS)] = []
    conversions_int8_us: float | msgspec.UnsetType = msgspec.UNSET
    conversions_chosen_us: float | msgspec.UnsetType = msgspec.UNSET
    int8_us: float | msgspec.UnsetType = msgspec.UNSET
    chosen_us: float | msgspec.UnsetType = msgspec.UNSET


class _Padding(Struct):
    proved: bool
    reason: Text | None = None


class _Info(Struct):
    """What commands print; the values themselves stay as they are. Everything may be missing (a package of one's own), nothing may be of another kind."""

    model: _Model | msgspec.UnsetType = msgspec.UNSET
    recipe: _Recipe | msgspec.UnsetType = msgspec.UNSET
    operators: _Operators | msgspec.UnsetType = msgspec.UNSET
    accuracy: _Accuracy | msgspec.UnsetType = msgspec.UNSET
    policy: _Policy | None = None
    padding: _Padding | None = None
    self_test: dict[Literal["by"], Literal["compiled", "referee"]] = {}  # who gives its answers: the compiled code alone, or the referee too


class Manifest(Struct):
    format: int
    info: dict[str, object]
    versions: Annotated[dict[Name, Text], Meta(max_length=64)]
    inputs: Annotated[tuple[Tensor, ...], Meta(min_length=1, max_length=MOST_TENSORS)]
    outputs: Annotated[tuple[Tensor, ...], Meta(min_length=1, max_length=MOST_TENSORS)]
    variants: Annotated[tuple[Entry, ...], Meta(min_length=1, max_length=MOST_VARIANTS)]
    members: Annotated[dict[Name, Member], Meta(max_length=4 * MOST_VARIANTS + MOST_SHAPES)]
    shapes: Annotated[tuple[Shape, ...], Meta(max_length=MOST_SHAPES - 1)] = ()
    pads: Annotated[dict[Name, int | float], Meta(max_length=MOST_TENSORS)] = msgspec.field(default_factory=dict)
    integer: Annotated[tuple[Shape, ...], Meta(max_length=MOST_SHAPES)] = ()  # of every shape, for callers that quantise


def manifest_of(values) -> Manifest:
    """JSON values as a manifest. Raises ValueError, which names the field."""
    made = checked(values, Manifest)
    try:
        policy = checked(made.info, _Info).policy
        if policy is not None and policy.layers and msgspec.UNSET in (policy.conversions_int8_us, policy.conversions_chosen_us, policy.int8_us, policy.chosen_us):
            raise ValueError("$.policy: has layers, but not their times")
    except ValueError as error:
        raise ValueError(f"info{str(error).removeprefix('$')}") from None
    _texts(made.info, "info")
    _unique("target", [entry.target for entry in made.variants])
    _check_tensors(made)
    for entry in made.variants:
        _check_variant(entry, made)
    if made.integer and len(made.integer) != 1 + len(made.shapes):
        raise ValueError(f"integer: describes {len(made.integer)} of {1 + len(made.shapes)} shapes")
    others = [(shape, None) for shape in made.shapes] + list(zip(made.integer, (made, *made.shapes)))
    for number, (shape, of) in enumerate(others, 1):
        try:
            _check_shape(shape, made, of)
        except ValueError as error:
            raise ValueError(f"shape {number}: {error}") from None
    inputs = {tensor.name: tensor for tensor in made.inputs}
    for name, value in made.pads.items():
        if name not in inputs or not can_pad(inputs[name].dtype, value):
            raise ValueError(f"pads: {name} = {value} pads no input")
    return made


def _check_tensors(signature):
    for side, tensors in (("inputs", signature.inputs), ("outputs", signature.outputs)):
        _unique(side, [tensor.name for tensor in tensors])
        for tensor in tensors:
            if tensor.batch_axis is not None and not 0 <= tensor.batch_axis < max(len(tensor.shape), 1):
                raise ValueError(f"{side} {tensor.name}: batch_axis is {tensor.batch_axis}, of {len(tensor.shape)} axes")
            if tensor.nbytes > 1 << 40:
                raise ValueError(f"{side} {tensor.name}: shape {list(tensor.shape)} is of {tensor.nbytes} bytes")
            if tensor.quantization is not None and tensor.dtype != "int8":
                raise ValueError(f"{side} {tensor.name}: is quantised, as {tensor.dtype}")
    _check_counts(signature)


def _check_shape(shape, manifest, of):
    """It is of the same network. of: the shape whose tensors it has, some of them as codes; None for one with extents of its own."""
    _check_tensors(shape)
    for mine, theirs in zip((*shape.inputs, *shape.outputs), (*of.inputs, *of.outputs) if of is not None else ()):
        if mine.shape != theirs.shape:
            raise ValueError(f"{mine.name} is of shape {list(mine.shape)}, and {list(theirs.shape)} in float")
    for mine, theirs in ((shape.inputs, manifest.inputs), (shape.outputs, manifest.outputs)):
        if [(one.name, one.dtype if of is None or one.quantization is None else "float32", len(one.shape)) for one in mine] != [(one.name, one.dtype, len(one.shape)) for one in theirs]:
            raise ValueError(f"has {', '.join(one.name for one in mine)}, not of the names, types and ranks of {', '.join(one.name for one in theirs)}")
    if len(shape.variants) != len(manifest.variants):
        raise ValueError(f"has {len(shape.variants)} variants of {len(manifest.variants)}")
    for own, entry in zip(shape.variants, manifest.variants):
        if not BACKENDS[entry.kind].shapes:
            raise ValueError(f"variant {entry.target} is of kind {entry.kind}, which has one shape")
        _check_steps(entry.target, own)


def _check_steps(target, entry):
    behind = 0
    for first, last, _ in entry.loops:
        if not behind <= first < last <= len(entry.steps):
            raise ValueError(f"variant {target}: loop {first} to {last} of {len(entry.steps)} steps")
        behind = last
    check_words(target, entry)


def _check_counts(signature):
    counts = {tensor.name for tensor in signature.outputs if tensor.shape == (1,) and tensor.dtype == "int64"}
    for tensor in (*signature.inputs, *signature.outputs):
        if tensor.counted is not None and (tensor.counted[0] >= len(tensor.shape) or tensor.counted[1] not in counts or tensor in signature.inputs):
            raise ValueError(f"{tensor.name}: its elements are counted along axis {tensor.counted[0]} by {tensor.counted[1]}, which does not fit the outputs")


def _check_variant(entry, manifest):
    if len(entry.launches) != (len(entry.steps) if BACKENDS[entry.kind].launches else 0):
        raise ValueError(f"variant {entry.target}: {len(entry.launches)} launches for {len(entry.steps)} steps of kind {entry.kind}")
    _check_steps(entry.target, entry)
    weights = manifest.members.get(f"variants/{entry.target}/weights.bin")
    most = {"weights": weights.bytes if weights else 0, "arena": entry.arena_bytes, "input": len(manifest.inputs), "output": len(manifest.outputs)}
    for launch in entry.launches:
        for kind, at in launch.operands:
            if at >= most[kind]:
                raise ValueError(f"variant {entry.target}: {launch.function} has its operand at {kind} {at}, of {most[kind]}")


def _unique(what, names):
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{what}: {twice} is there twice")


def _texts(value, place):
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

