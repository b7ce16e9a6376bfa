"""octet.statistics -> the summary kernel, on the layout that the tensor has: calibration never reformats."""

from typing import TYPE_CHECKING

from ....targets.x86.elementwise.summary import HEADER, SummaryProblem, summary
from ... import ops
from ...operators.observing import SUMMARY_HEADER

if TYPE_CHECKING:
    from tvm import relax

    from .context import CpuContext
    from .value import Value


assert HEADER == SUMMARY_HEADER


def statistics(call: "relax.Call", ctx: "CpuContext") -> "Value":
    """Lowers octet.summary: extremes, counts and samples of a tensor as it lies in memory."""
    data = ctx.value(call.args[0])
    problem = SummaryProblem(data.layout, ops.attrs_of(call)["samples"])
    return ctx.emit(
        summary(*problem.kernel),
        [data, problem.parameters],
        problem.result,
        call.op.name,
        "statistics",
        notes={"bytes": 0},
    )  # Functions of equal code and notes are kept once, so the notes leave out how many bytes there are.


RULES = {"octet.statistics": statistics}
