"""Integer add, mul and requantize of packed tensors (octet.add, octet.mul, octet.requantize; equations in
passes/ops.py).

An operand with one value per channel repeats from pixel to pixel. Every few pixels it begins at a vector's first byte
again; the vectors between ("period") are taken one after the other, each for all pixels of a task, so that its values
stay in registers as floats."""

from dataclasses import dataclass
from math import gcd, lcm

from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import bind, load_vector, splat, store_vector
from ..intrinsics import fence
from ..kernel import argument, built_once, emit_kernel
from ..layout import SLACK, channel_stride
from ..vector import BYTES, check_range, round_planes, split_bytes, store_bytes, to_float
from ..vector_loops import LoopSchedule, default_loops, each, steps, sweep

STREAM = "same"  # An operand beside the result lies like it, element for element.
CHANNEL = "channel"  # An operand has one value per channel and image (its buffer: images x stride).
SHARED = "shared"  # An operand has one value per channel for all images.
# A task writes at most these bytes, so that its input stays in the nearest cache from vector to vector.
TASK_BYTES = 1 << 14


@dataclass(frozen=True)
class BinaryProblem:
    """A sum or product of two int8 tensors, requantised. kind: "add" or "mul". images x pixels x channels: the result.
    second: how operand b lies, STREAM, CHANNEL or SHARED. Multipliers are float32 values; for "mul" only a_multiplier
    is used."""

    kind: str
    images: int
    pixels: int
    channels: int
    a_zero_point: int
    b_zero_point: int
    out_zero_point: int
    a_multiplier: float
    b_multiplier: float = 0.0
    clip_min: int = -128
    clip_max: int = 127
    second: str = STREAM
    dtype = "int8"
    multiply_adds = 0  # A dot product does none of its work.
    light = False

    def __post_init__(self) -> None:
        assert self.kind in ("add", "mul") and self.second in (STREAM, CHANNEL, SHARED), self
        check_range(
            255 * 255 * self.a_multiplier
            if self.kind == "mul"
            else 255 * (abs(self.a_multiplier) + abs(self.b_multiplier))
        )

    @property
    def stride(self) -> int:
        """The step from a pixel to the next one, in bytes: the channels and what fills up the last vector."""
        return channel_stride(self.channels, "int8")

    @property
    def elements(self) -> int:
        """Elements of the result's buffer, with what fills up the pixels."""
        return self.images * self.pixels * self.stride

    @property
    def traffic(self) -> int:
        """Bytes read and written."""
        return (3 if self.second == STREAM else 2) * self.elements

    @property
    def name(self) -> str:
        """The kernel's, with the result's extents and how operand b lies."""
        return f"{self.kind}_int8_{self.images}x{self.pixels}x{self.channels}_{self.second}"


@built_once
def binary(p: BinaryProblem, schedule: LoopSchedule | None = None) -> tirx.PrimFunc:
    """The kernel (a, b, y) of a sum or product of int8 tensors, on uint8 buffers."""
    how = schedule if schedule is not None else default_loops(p)

    def combine(a: tirx.Expr, b: tirx.Expr) -> tirx.Expr:
        return _result(p, a, _floats(b, p.b_zero_point))

    def body() -> None:
        a, y_size = argument("a", p.elements + SLACK, "uint8"), p.elements + SLACK
        b = argument("b", second_elements(p) + SLACK, "uint8")
        y = argument("y", y_size, "uint8")
        if p.second == STREAM:
            sweep(
                p.elements,
                BYTES,
                how,
                lambda at, count: store_bytes(
                    y, at, bind(combine(load_vector(a, at, BYTES), load_vector(b, at, BYTES))), count
                ),
            )
            return
        if p.pixels % (lcm(p.stride, BYTES) // p.stride) == 0:
            _by_periods(p, how, a, b, y)
            return
        with each(p.images * p.pixels, how) as pixel:
            row = bind(pixel * p.stride)
            image = 0 if p.second == SHARED or p.images == 1 else bind(pixel // p.pixels * p.stride)
            steps(
                p.stride,
                BYTES,
                lambda c, count: store_bytes(
                    y, row + c, bind(combine(load_vector(a, row + c, BYTES), load_vector(b, image + c, BYTES))), count
                ),
            )

    return emit_kernel(p.name, body)


def _by_periods(p: BinaryProblem, how: LoopSchedule, a: tirx.Buffer, b: tirx.Buffer, y: tirx.Buffer) -> None:
    period = lcm(p.stride, BYTES)
    repeats, groups = period // p.stride, p.pixels * p.stride // period
    most = max(1, min(groups, TASK_BYTES // period))
    tasks = -(-groups // most)
    with each(p.images * tasks, how) as task:
        image, first = (0, bind(task * most)) if p.images == 1 else (bind(task // tasks), bind(task % tasks * most))
        source, values = b, 0 if p.second == SHARED else bind(image * p.stride)
        if repeats > 1:
            # The buffer lies on the stack.
            source, size = (
                T.alloc_buffer((period,), "uint8", annotations={"disable_lower_builtin": True}),
                gcd(p.stride, BYTES),
            )
            with T.serial(0, p.stride // size) as piece:
                value = bind(load_vector(b, values + piece * size, size))
                for repeat in range(repeats):
                    store_vector(source, repeat * p.stride + piece * size, value)
            values = 0
        start = bind((image * groups + first) * period)
        with T.serial(0, period // BYTES) as vector:
            second = [bind(x) for x in _floats(load_vector(source, values + vector * BYTES, BYTES), p.b_zero_point)]
            with T.serial(0, most if groups % most == 0 else tirx.min(most, groups - first)) as group:
                at = bind(start + group * period + vector * BYTES)
                store_bytes(y, at, bind(_result(p, load_vector(a, at, BYTES), second)))


def _floats(stored: tirx.Expr, zero_point: int) -> list[tirx.Expr]:
    """Four planes."""
    return [to_float(x) for x in split_bytes(bind(stored), zero_point)]


def _result(p: BinaryProblem, a: tirx.Expr, second: list[tirx.Expr]) -> tirx.Expr:
    """Bytes of a with the planes of the second operand."""
    planes = [_combined(p, x, y) for x, y in zip(_floats(a, p.a_zero_point), second)]
    return round_planes(planes, p.out_zero_point, p.clip_min, p.clip_max)


def second_elements(p: BinaryProblem) -> int:
    """Elements of operand b, slack not counted."""
    return {STREAM: p.elements, CHANNEL: p.images * p.stride, SHARED: p.stride}[p.second]


def _combined(p: BinaryProblem, a: tirx.Expr, b: tirx.Expr) -> tirx.Expr:
    if p.kind == "mul":  # The largest product is 255 * 255, so that of the two floats is the exact integer.
        return (a * b) * splat(p.a_multiplier, "float32")
    return fence(a * splat(p.a_multiplier, "float32")) + fence(b * splat(p.b_multiplier, "float32"))


@dataclass(frozen=True)
class RequantizeProblem:
    """y = clip(rne(f32(x - zero_point) * multiplier) + out_zero_point); `elements` of a packed buffer, slack not
    counted."""

    elements: int
    zero_point: int
    out_zero_point: int
    multiplier: float
    clip_min: int = -128
    clip_max: int = 127
    dtype = "int8"
    multiply_adds = 0
    light = False

    def __post_init__(self) -> None:
        check_range(255 * self.multiplier)

    @property
    def traffic(self) -> int:
        """Bytes read and written."""
        return 2 * self.elements

    @property
    def name(self) -> str:
        """The kernel's, with the number of its elements."""
        return f"requantize_int8_{self.elements}"


@built_once
def requantize_kernel(p: RequantizeProblem, schedule: LoopSchedule | None = None) -> tirx.PrimFunc:
    """The kernel (x, y) of octet.requantize, on uint8 buffers."""
    how = schedule if schedule is not None else default_loops(p)

    def piece(x: tirx.Buffer, y: tirx.Buffer, at: tirx.Expr | int, count: int) -> None:
        planes = [
            to_float(w) * splat(p.multiplier, "float32")
            for w in split_bytes(bind(load_vector(x, at, BYTES)), p.zero_point)
        ]
        store_bytes(y, at, bind(round_planes(planes, p.out_zero_point, p.clip_min, p.clip_max)), count)

    def body() -> None:
        x, y = argument("x", p.elements + SLACK, "uint8"), argument("y", p.elements + SLACK, "uint8")
        sweep(p.elements, BYTES, how, lambda at, count: piece(x, y, at, count))

    return emit_kernel(p.name, body)
