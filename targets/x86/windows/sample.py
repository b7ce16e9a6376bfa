"""Images read between their pixels, packed float32.

    y = sum over the four pixels around a place of pixel * (1 - distance down) * (1 - distance across)

Outside of the image is 0, or what stands at its border."""

from dataclasses import dataclass
from math import prod

from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import bind, const, load_vector, pure, splat, store_vector
from ..intrinsics import fma
from ..kernel import built_once, emit_kernel
from ..layout import Layout
from ..vector import LANES
from ..vector_loops import each, steps, tensors
from .resize import are_float_images


@dataclass(frozen=True)
class SampleProblem:
    """A float32 image sampled at given places. source, target: nhwc float32, of the same images and channels. Places
    are plain [N, 2, H', W'], across before down, -1 and 1 the edges of the image, or the middles of its outermost
    pixels (`corners`). border: what lies outside is the border's."""

    source: Layout
    target: Layout
    corners: bool
    border: bool

    def __post_init__(self) -> None:
        assert are_float_images(self.source, self.target), self

    @property
    def places(self) -> Layout:
        """The layout of the second operand."""
        return Layout("plain", (self.source.shape[0], 2, *self.target.shape[2:]), "float32")


@built_once
def sample_linear(p: SampleProblem) -> tirx.PrimFunc:
    """(x, places, y)."""
    (n, _, h, w), count, stride = p.source.shape, prod(p.target.shape[2:]), p.source.channel_stride

    def body() -> None:
        x, places, y = tensors(x=p.source, places=p.places, y=p.target)
        with each(n * p.target.shape[2], 20 * p.target.elements) as row:
            with T.serial(0, p.target.shape[3]) as column:
                at = bind(row * p.target.shape[3] + column)
                image, place = bind(at // count), bind(at % count)
                across, down = (
                    _between(p, places[image * (2 * count) + axis * count + place], extent)
                    for axis, extent in enumerate((w, h))
                )
                pixels = [
                    (bind(((image * h + i) * w + j) * stride), bind(splat(a * b, "float32")), bind(tirx.And(v, u)))
                    for i, a, v in down
                    for j, b, u in across
                ]
                steps(stride, LANES, lambda c, _: store_vector(y, at * stride + c, _mixed(p, x, pixels, c)))

    name = "x".join(map(str, (*p.source.shape, *p.target.shape[2:])))
    return emit_kernel(f"sample_{name}{'_corners' * p.corners}{'_border' * p.border}", body)


def _between(p: SampleProblem, place: tirx.Expr, extent: int) -> list[tuple[tirx.Expr, tirx.Expr, tirx.Expr]]:
    """The two pixels around a place: (coordinate within the image, weight, whether it is in the image)."""
    half = const(0.5 * (extent - 1 if p.corners else extent), "float32")
    at = (place + const(1.0, "float32")) * half - const(0.0 if p.corners else 0.5, "float32")
    low, high = (0.0, extent - 1.0) if p.border else (-2.0, extent + 1.0)  # NaN becomes the lower bound.
    at = bind(tirx.min(tirx.max(at, const(low, "float32")), const(high, "float32")))
    whole = bind(pure("float32", "llvm.floor", at))
    share, first = bind(at - whole), bind(tirx.Cast("int32", whole))
    return [
        (
            bind(tirx.max(tirx.min(first + step, extent - 1), 0)),
            bind(weight),
            bind(tirx.And(first + step >= 0, first + step < extent)),
        )
        for step, weight in enumerate((const(1.0, "float32") - share, share))
    ]


def _mixed(
    p: SampleProblem, x: tirx.Buffer, pixels: list[tuple[tirx.Expr, tirx.Expr, tirx.Expr]], c: tirx.Expr | int
) -> tirx.Expr:
    zero = splat(0.0, "float32")
    total = zero
    for start, weight, inside in pixels:
        value = load_vector(x, start + c, LANES)
        total = fma(total, value if p.border else tirx.Select(inside, value, zero), weight)
    return total
