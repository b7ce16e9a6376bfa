"""octet.bfloat16: operands of bfloat16 layers."""

from typing import TYPE_CHECKING

from ....targets.x86.elementwise.bfloat16 import RoundProblem, reads_plain, round_kernel

if TYPE_CHECKING:
    from tvm import relax

    from .context import CpuContext
    from .value import Value


def bfloat16(call: "relax.Call", ctx: "CpuContext") -> "Value":
    """One kernel from the packed float tensor, or a plain image, to the packed bfloat16 one."""
    value = ctx.value(call.args[0])
    if value.layout.kind != "plain" or not reads_plain(value.layout.shape):
        value = ctx.packed(call.args[0])
    problem = RoundProblem(value.layout)
    return ctx.emit(round_kernel(problem), [value], problem.target, call.op.name)


RULES = {"octet.bfloat16": bfloat16}
