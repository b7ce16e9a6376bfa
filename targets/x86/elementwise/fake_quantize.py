"""Fake quantisation with parameters that are data: y = clip(rne(x / scale), low, high) * scale, or y = x where it is
switched off.

What sensitivity analysis puts on every tensor that may be quantised: the same machine code serves every choice of
scales and layers."""

from collections.abc import Callable
from dataclasses import dataclass

from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import bind, load_vector, splat, store_vector
from ..kernel import emit_kernel
from ..layout import Layout
from ..vector import LANES
from ..vector_loops import sweep, tensors

# LOW and HIGH are bounds of the integer minus its zero point; SWITCH is 0 or 1.
SCALE, LOW, HIGH, SWITCH = range(4)
PARAMETERS = 16


@dataclass(frozen=True)
class FakeQuantizeProblem:
    """A float32 tensor rounded to the values of int8 codes. layout: of the float32 tensor, packed or plain."""

    layout: Layout

    def __post_init__(self) -> None:
        assert self.layout.dtype == "float32", self

    @property
    def elements(self) -> int:
        """Elements of the buffer; padding channels are treated like the others."""
        layout = self.layout
        return layout.elements if layout.kind == "plain" else layout.pixels * layout.channel_stride


def fake_quantize(p: FakeQuantizeProblem) -> tirx.PrimFunc:
    """The kernel (x, parameters float32 [PARAMETERS], y)."""
    whole = p.elements // LANES * LANES

    def body() -> None:
        x, parameters, y = tensors(x=p.layout, parameters=Layout("plain", (PARAMETERS,), "float32"), y=p.layout)
        scale, low, high, switch = (bind(parameters[i]) for i in (SCALE, LOW, HIGH, SWITCH))
        with T.If(switch == tirx.const(0.0, "float32")):
            with T.Then():
                _copy(x, y, whole)
            with T.Else():
                _quantized(x, y, whole, scale, low, high)
        with T.serial(0, p.elements - whole) as i:
            value = bind(x[whole + i])
            rounded = tirx.min(tirx.max(tirx.nearbyint(value / scale), low), high) * scale
            T.buffer_store(y, tirx.Select(switch == tirx.const(0.0, "float32"), value, rounded), [whole + i])

    return emit_kernel(f"fake_quantize_{p.layout.kind}_" + "x".join(map(str, p.layout.shape)), body)


def _copy(x: tirx.Buffer, y: tirx.Buffer, elements: int) -> None:
    def piece(at: tirx.Expr | int, count: int) -> None:
        for i in range(0, count, LANES):
            store_vector(y, at + i, load_vector(x, at + i, LANES))

    _sweep(elements, piece)


def _quantized(
    x: tirx.Buffer, y: tirx.Buffer, elements: int, scale: tirx.Expr, low: tirx.Expr, high: tirx.Expr
) -> None:
    scale, low, high = (bind(splat(value, "float32")) for value in (scale, low, high))

    def piece(at: tirx.Expr | int, count: int) -> None:
        for i in range(0, count, LANES):
            steps = tirx.nearbyint(load_vector(x, at + i, LANES) / scale)
            store_vector(y, at + i, tirx.min(tirx.max(steps, low), high) * scale)

    _sweep(elements, piece)


def _sweep(elements: int, piece: Callable[..., None]) -> None:
    if elements:
        sweep(elements, 4 * LANES, 8 * elements, piece)
