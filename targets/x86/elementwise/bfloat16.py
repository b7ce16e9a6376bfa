"""octet.bfloat16: float32 rounded to bfloat16, from a packed tensor, or an image as it is, to a packed one whose
padding channels are zero."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tvm import tirx

from ...bfloat16 import BLOCK, FEW, SMALLEST
from ...cpu.expressions import bind, load_vector, splat, store_vector
from ..isa import current
from ..kernel import built_once, emit_kernel
from ..layout import Layout, packed, sure
from ..vector_loops import each, steps, sweep, tensors

_NAN, _SIGN = 0x7FC0, 0x7FFFFFFF
# VDPBF16PS makes the sums of conv/bf16.py and adds the odd product of a pair before the even one, so a pair holds
# neighbours of one parity.
PAIRS = [4 * (i // 4) + (2, 0, 3, 1)[i % 4] for i in range(BLOCK)]


@dataclass(frozen=True)
class RoundProblem:
    """A float32 tensor rounded to bfloat16. source: a packed float32 layout, or a plain one where `reads_plain`."""

    source: Layout

    @property
    def target(self) -> Layout:
        """The layout of the result: packed, of bfloat16, as layers read it."""
        return sure(packed(self.source.shape, "bfloat16"))

    @property
    def name(self) -> str:
        """The kernel's, with kind and shape of its source."""
        return f"bfloat16_{self.source.kind}_{'x'.join(map(str, self.source.shape))}"


def round_bits(value: tirx.Expr) -> tirx.Expr:
    """float32x16 -> uint32x16, the bits of the bfloat16: to nearest, ties to even; what is too small becomes zero, NaN
    the quiet one."""
    bits = bind(tirx.reinterpret("uint32x16", value))
    magnitude = bind(bits & splat(_SIGN, "uint32"))
    rounded = (bits + splat(0x7FFF, "uint32") + ((bits >> splat(16, "uint32")) & splat(1, "uint32"))) >> splat(
        16, "uint32"
    )
    rounded = tirx.Select(magnitude < splat(int(SMALLEST.view(np.uint32)), "uint32"), splat(0, "uint32"), rounded)
    return tirx.Select(magnitude > splat(0x7F800000, "uint32"), splat(_NAN, "uint32"), rounded)


def pack_bits(bits: tirx.Expr) -> tirx.Expr:
    """uint32x16 of `round_bits` -> uint16x16 in the order in which this vector unit's kernels read them."""
    words = tirx.Cast("uint16x16", bits)
    return tirx.Shuffle([words], PAIRS[:16]) if current().bf16_pairs else words


@built_once
def round_kernel(p: RoundProblem) -> tirx.PrimFunc:
    """The PrimFunc(x f32[], y u16[]) that rounds float32 to bfloat16."""
    return emit_kernel(p.name, lambda: _body(p))


def reads_plain(shape: Sequence[int]) -> bool:
    """Whether a plain NCHW tensor is rounded as it is: an image of few channels, which packed in vectors of 16 would be
    mostly padding."""
    return len(shape) == 4 and shape[1] <= FEW and shape[2] * shape[3] >= 16


def _body(p: RoundProblem) -> None:
    x, y = tensors(x=p.source, y=p.target)
    channels, (source, target) = p.source.channels, (layout.channel_stride for layout in (p.source, p.target))
    traffic = p.source.pixels * (4 * source + 2 * target)
    if p.source.kind == "plain":
        _image(p, x, y)
    elif channels == source == target:
        sweep(
            p.source.pixels * channels, 16, traffic, lambda at, _: _store(y, at, round_bits(load_vector(x, at, 16)), 16)
        )
    else:
        with each(p.source.pixels, traffic) as row:
            at, to = bind(row * source), bind(row * target)
            whole = channels // 16 * 16
            if whole:
                steps(whole, 16, lambda i, _: _store(y, to + i, round_bits(load_vector(x, at + i, 16)), 16))
            if channels > whole:
                bits = tirx.Select(
                    _numbers() < splat(channels - whole, "int32"),
                    round_bits(load_vector(x, at + whole, 16)),
                    splat(0, "uint32"),
                )
                _store(y, to + whole, bits, min(16, target))
            if target > FEW and target - channels >= 16:
                store_vector(y, to + target - 16, splat(0, "uint16"))


def _numbers() -> tirx.Expr:
    return tirx.Ramp(tirx.const(0, "int32"), tirx.const(1, "int32"), 16)


def _store(y: tirx.Buffer, at: tirx.Expr | int, bits: tirx.Expr, count: int) -> None:
    words = bind(pack_bits(bits))
    store_vector(y, at, words if count == 16 else tirx.Shuffle([words], list(range(count))))


def _image(p: RoundProblem, x: tirx.Buffer, y: tirx.Buffer) -> None:
    """16 pixels of up to four planes at a time: two words of 32 bits for each."""
    n, c, h, w = p.source.shape
    per_image = -(-h * w // 16)
    with each(n * per_image, n * h * w * (4 * c + 2 * FEW)) as task:
        image = bind(tirx.floordiv(task, per_image))
        pixel = bind(tirx.min(tirx.floormod(task, per_image) * 16, h * w - 16))
        planes = [bind(round_bits(load_vector(x, (image * c + i) * (h * w) + pixel, 16))) for i in range(c)] + [
            splat(0, "uint32")
        ] * (FEW - c)
        order = PAIRS[:FEW] if current().bf16_pairs else range(FEW)
        a, b, c, d = (planes[i] for i in order)
        words = [bind(low | (high << splat(16, "uint32"))) for low, high in ((a, b), (c, d))]
        for half in (0, 8):
            both = tirx.Shuffle(words, [half + i // 2 + 16 * (i % 2) for i in range(16)])
            store_vector(y, (image * (h * w) + pixel + half) * FEW, tirx.reinterpret("uint16x32", both))
