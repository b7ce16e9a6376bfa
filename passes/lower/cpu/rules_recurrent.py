"""octet.lstm_state, octet.lstm_output, octet.gru_output: one kernel each on rows."""

from typing import TYPE_CHECKING

from ....targets.recurrent_math import STEPS
from ....targets.x86.layout import packed, sure
from ....targets.x86.rows.recurrent import RecurrentProblem, recurrent
from ...ops import shape_of

if TYPE_CHECKING:
    from tvm import relax

    from .context import CpuContext
    from .value import Value


def step(call: "relax.Call", ctx: "CpuContext") -> "Value | None":
    """The gates of a step of an LSTM or GRU in float32."""
    layout = sure(packed(shape_of(call), "float32"))
    problem = RecurrentProblem(call.op.name, *layout.shape)
    return ctx.emit(recurrent(problem), [ctx.rows(arg) for arg in call.args], layout, call.op.name)


RULES = dict.fromkeys(STEPS, step)
