"""Linear resize of packed float32 tensors: y = u + (l - u) * t_row, u and l = a + (b - a) * t_column in the two rows;
every operation rounded."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvm.tirx.script import builder as T

from ...cpu.expressions import bind, load_vector, splat, store_vector
from ..intrinsics import fence
from ..kernel import built_once, emit_kernel
from ..layout import Layout
from ..vector import LANES
from ..vector_loops import each, steps, tensors

if TYPE_CHECKING:
    from tvm import tirx


def are_float_images(source: Layout, target: Layout) -> bool:
    """Whether both are float32, of the same images and channels."""
    return source.shape[:2] == target.shape[:2] and source.dtype == target.dtype == "float32"


@dataclass(frozen=True)
class ResizeProblem:
    """A float32 image resized. source, target: nhwc float32, of the same images and channels."""

    source: Layout
    target: Layout

    def __post_init__(self) -> None:
        assert are_float_images(self.source, self.target), self


@built_once
def resize_linear(p: ResizeProblem) -> "tirx.PrimFunc":
    """(x, top, bottom, down, left, right, across, y): per row of the result the two source rows (int32) and the weight
    of the second (float32), and the same per column."""
    (n, _, h, w), (out_h, out_w), stride = p.source.shape, p.target.shape[2:], p.source.channel_stride

    def body() -> None:
        tables = {
            name: Layout("plain", (extent,), dtype)
            for names, extent in ((("top", "bottom", "down"), out_h), (("left", "right", "across"), out_w))
            for name, dtype in zip(names, ("int32", "int32", "float32"))
        }
        x, top, bottom, down, left, right, across, y = tensors(x=p.source, **tables, y=p.target)
        with each(n * out_h, 20 * p.target.elements) as row:
            image, i = bind(row // out_h), bind(row % out_h)
            rows = [bind((image * h + table[i]) * (w * stride)) for table in (top, bottom)]
            weight = splat(bind(down[i]), "float32")
            with T.serial(0, out_w) as j:
                first, second, third, fourth = (
                    bind(start + table[j] * stride) for start in rows for table in (left, right)
                )
                share = splat(bind(across[j]), "float32")
                target = bind((row * out_w + j) * stride)

                def line(one: "tirx.Expr", other: "tirx.Expr", c: "tirx.Expr | int") -> "tirx.Expr":
                    return _mixed(load_vector(x, one + c, LANES), load_vector(x, other + c, LANES), share)

                steps(
                    stride,
                    LANES,
                    lambda c, _: store_vector(
                        y, target + c, _mixed(line(first, second, c), line(third, fourth, c), weight)
                    ),
                )

    return emit_kernel("resize_linear_" + "x".join(map(str, (*p.source.shape, *p.target.shape[2:]))), body)


def _mixed(a: "tirx.Expr", b: "tirx.Expr", share: "tirx.Expr") -> "tirx.Expr":
    a, b = bind(a), bind(b)
    return a + fence((b - a) * share)
