"""From one layout to another, with quantize or dequantize on the way: what stands where a packed kernel meets a plain
tensor or a float one.

quantize: y = clip(rne(x / scale) + zero_point), true division. dequantize: y = f32(x - zero_point) * scale."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..layout import Layout
from . import pack as reformat_pack, rows as reformat_rows, unpack as reformat_unpack

if TYPE_CHECKING:
    from tvm import tirx


@dataclass(frozen=True)
class ReformatProblem:
    """A tensor taken from one layout or dtype to another. source, target: layouts of one logical shape. dtypes: equal,
    or float32 -> int8 (quantize), or int8 -> float32 (dequantize) with scale and zero_point. function: of
    elementwise/math.KINDS with its parameters, of the values before they are quantised; `vectors` says between which
    layouts."""

    source: Layout
    target: Layout
    scale: float = 1.0
    zero_point: int = 0
    function: tuple[str, tuple[tuple[str, float], ...]] | None = None

    def __post_init__(self) -> None:
        assert self.source.shape == self.target.shape, self
        assert self.function is None or vectors(self.source, self.target), self
        assert {self.source.dtype, self.target.dtype} <= {"int8", "float32"}, self

    @property
    def name(self) -> str:
        """The kernel's: the function if any, quantize, dequantize or copy, both layouts and the shape."""
        verb = {("float32", "int8"): "quantize", ("int8", "float32"): "dequantize"}.get(
            (self.source.dtype, self.target.dtype), "copy"
        )
        function = f"{self.function[0]}_" if self.function is not None else ""
        return f"{function}{verb}_{self.source.kind}_{self.target.kind}_{self.target.dtype}_" + "x".join(
            map(str, self.source.shape)
        )


def vectors(source: Layout, target: Layout) -> bool:
    """Whether all that is converted are whole vectors: between packed tensors of many channels."""
    return (
        source.kind == target.kind != "plain"
        and source.kind != "view"
        and min(source.channel_stride, target.channel_stride) >= 64
    )


def reformat(p: ReformatProblem) -> "tirx.PrimFunc":
    """The kernel (x, y) that changes a tensor's layout, or quantises or dequantises it."""
    if "nhwc" in (p.source.kind, p.target.kind) and p.source.kind != p.target.kind:
        n, c, h, w = p.source.shape
        if h * w > 1:
            return reformat_pack.pack(p) if p.target.kind == "nhwc" else reformat_unpack.unpack(p)
    return reformat_rows.copy_rows(p)
