"""octet.fake_quantize -> its kernel, on the layout that the tensor has."""

from typing import TYPE_CHECKING

from ....targets.x86.elementwise.fake_quantize import FakeQuantizeProblem, fake_quantize

if TYPE_CHECKING:
    from tvm import relax

    from .context import CpuContext
    from .value import Value


def simulate(call: "relax.Call", ctx: "CpuContext") -> "Value":
    """Lowers octet.fake_quantize, in any layout."""
    data = ctx.value(call.args[0])
    return ctx.emit(
        fake_quantize(FakeQuantizeProblem(data.layout)),
        [data, ctx.constant(call.args[1])],
        data.layout,
        call.op.name,
        "simulate",
    )


RULES = {"octet.fake_quantize": simulate}
