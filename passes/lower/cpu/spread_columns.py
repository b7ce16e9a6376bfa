"""First layers of one channel (grey images, spectra): the columns of a kernel side by side as channels.

    conv2d(x[1, H, W], w[O, 1, kh, kw])      ==>      conv2d(x'[kw, H, W'], w'[O, kw, kh, 1])
    x'[k, i, j] = x[i, j + k - left], the zero point where that lies in the padding;  w'[o, k, i, 0] = w[o, 0, i, k]

A step of a dot product is four channels, of which one channel fills a quarter: a kernel of 3 x 3 taps takes nine steps,
and three where its columns share them. The sums are the same integers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ....targets.seams import Attrs
from ....targets.x86.layout import STORED_OFFSET, Layout
from ....targets.x86.movement.pixels import FILL, ConcatProblem, GatherProblem, concat, gather

if TYPE_CHECKING:
    from .context import CpuContext
    from .value import Value

_STEP = 4  # A step of a dot product takes so many channels.
_MULTIPLY_ADDS = 1 << 22  # Below so many multiply-adds the copies take what the steps save.


def spreads(layout: Layout, weight: tuple[int, ...], attrs: Attrs) -> bool:
    """Whether the layer of that data and OIHW weights is one whose columns are spread."""
    outputs, inputs, height, width = weight
    taps = layout.shape[2] * layout.shape[3] // (attrs["strides"][0] * attrs["strides"][1]) * height * width
    return (
        layout.kind == "nhwc"
        and layout.dtype == "int8"
        and layout.shape[1] == inputs == attrs["groups"] == attrs["dilation"][1] == 1
        and 1 < width <= _STEP
        and layout.shape[0] * outputs * taps >= _MULTIPLY_ADDS
    )


def spread_columns(ctx: "CpuContext", data: "Value", width: int, padding: Sequence[int], zero_point: int) -> "Value":
    """int8 [N, width, H, W + left + right - width + 1] of int8 [N, 1, H, W]. padding: top, left, bottom, right."""
    images, _, rows, columns = data.layout.shape
    made = columns + padding[1] + padding[3] - width + 1
    target = Layout("nhwc", (images, 1, rows, made), "int8")
    shifted = []
    for tap in range(width):
        places = (column + tap - padding[1] for column in range(made))
        problem = GatherProblem(
            data.layout,
            target,
            tuple(range(images)),
            tuple(range(rows)),
            tuple(place if 0 <= place < columns else FILL for place in places),
            fill=zero_point + STORED_OFFSET,
        )
        shifted.append(ctx.emit(gather(problem), [data, *problem.tables], target, "reformat"))
    together = ConcatProblem((target,) * width, 1)
    return ctx.emit(concat(together), shifted, together.target, "reformat")
