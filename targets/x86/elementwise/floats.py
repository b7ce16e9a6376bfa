"""Elementwise float32 operators on packed tensors: scalar functions, and two operands with broadcasting over pixels."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...cpu.expressions import bind, load_vector, store_vector
from ..kernel import argument, built_once, emit_kernel
from ..layout import SLACK, channel_stride
from ..vector import LANES
from ..vector_loops import each, steps, sweep
from .integer import CHANNEL, SHARED, STREAM
from .math import BINARY_KINDS, KINDS, combined, function

if TYPE_CHECKING:
    from tvm import tirx

STEP = 4 * LANES


@dataclass(frozen=True)
class UnaryProblem:
    """A float32 function of every element. kind: of elementwise_math.KINDS. elements: of the packed buffer, slack not
    counted. parameters: (name, value) pairs."""

    kind: str
    elements: int
    parameters: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        assert self.kind in KINDS and self.elements % LANES == 0, self


@built_once
def unary(p: UnaryProblem) -> "tirx.PrimFunc":
    """The kernel (x, y) of a function of one tensor, on float32 buffers."""

    def piece(x: "tirx.Buffer", y: "tirx.Buffer", at: "tirx.Expr | int", count: int) -> None:
        for i in range(0, count, LANES):
            store_vector(y, at + i, function(p.kind, bind(load_vector(x, at + i, LANES)), dict(p.parameters)))

    def body() -> None:
        x, y = (argument(name, p.elements + SLACK, "float32") for name in ("x", "y"))
        sweep(p.elements, STEP, 8 * p.elements, lambda at, count: piece(x, y, at, count))

    return emit_kernel(f"{p.kind}_float32_{p.elements}", body)


@dataclass(frozen=True)
class FloatBinaryProblem:
    """A float32 function of two operands, element by element. kind: of elementwise_math.BINARY_KINDS. images x pixels x
    channels: the result. second: how operand b lies, STREAM, CHANNEL or SHARED. swapped: compute b kind a."""

    kind: str
    images: int
    pixels: int
    channels: int
    second: str = STREAM
    swapped: bool = False

    def __post_init__(self) -> None:
        assert self.kind in BINARY_KINDS and self.second in (STREAM, CHANNEL, SHARED), self

    @property
    def stride(self) -> int:
        """The step from a pixel to the next one, in elements: the channels and what fills up the last vector."""
        return channel_stride(self.channels, "float32")

    @property
    def elements(self) -> int:
        """Elements of the result's buffer, with what fills up the pixels."""
        return self.images * self.pixels * self.stride


@built_once
def binary_float(p: FloatBinaryProblem) -> "tirx.PrimFunc":
    """The kernel (a, b, y) of an operation on two tensors, on float32 buffers."""
    second_elements = {STREAM: p.elements, CHANNEL: p.images * p.stride, SHARED: p.stride}[p.second]

    def piece(
        a: "tirx.Buffer",
        b: "tirx.Buffer",
        y: "tirx.Buffer",
        at: "tirx.Expr | int",
        other: "tirx.Expr | int",
        count: int,
    ) -> None:
        for i in range(0, count, LANES):
            pair = load_vector(a, at + i, LANES), load_vector(b, other + i, LANES)
            store_vector(y, at + i, combined(p.kind, *(reversed(pair) if p.swapped else pair)))

    def body() -> None:
        a = argument("a", p.elements + SLACK, "float32")
        b, y = argument("b", second_elements + SLACK, "float32"), argument("y", p.elements + SLACK, "float32")
        if p.second == STREAM:
            sweep(p.elements, STEP, 12 * p.elements, lambda at, count: piece(a, b, y, at, at, count))
            return
        with each(p.images * p.pixels, 8 * p.elements) as pixel:
            row = bind(pixel * p.stride)
            image = 0 if p.second == SHARED else bind(pixel // p.pixels * p.stride)
            steps(p.stride, STEP, lambda c, count: piece(a, b, y, row + c, image + c, count))

    return emit_kernel(
        f"{p.kind}_float32_{p.images}x{p.pixels}x{p.channels}_{p.second}" + ("_swapped" if p.swapped else ""), body
    )
