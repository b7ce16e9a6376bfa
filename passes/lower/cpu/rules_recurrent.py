"""octet.lstm_state, octet.lstm_output, octet.gru_output: one kernel each on rows."""

from typing import TYPE_CHECKING

from ....targets.recurrent_math import STEPS
from ....targets.x86.layout import packed, sure
from ....targets.x86.reformat.constant import pack_constant
from ....targets.x86.rows.recurrent import RecurrentProblem, recurrent
from ...ops import shape_of

if TYPE_CHECKING:
    from tvm import relax

    from ..peepholes import Peepholes
    from .context import CpuContext
    from .value import Value


def step(call: "relax.Call", ctx: "CpuContext") -> "Value | None":
    """The gates of a step of an LSTM or GRU in float32."""
    rows, hidden = shape_of(call)
    layout = sure(packed((rows, hidden), "float32"))
    problem = RecurrentProblem(call.op.name, rows, hidden)
    return ctx.emit(recurrent(problem), [ctx.rows(arg) for arg in call.args], layout, call.op.name)


def step_with_peepholes(chain: "Peepholes", ctx: "CpuContext") -> "Value":
    """Lowers a step of an LSTM together with what its gates see of the cell through peepholes."""
    _, r, state = chain.call.args
    rows, hidden = shape_of(chain.call)
    layout = sure(packed((rows, hidden), "float32"))
    problem = RecurrentProblem(chain.call.op.name, rows, hidden, peepholes=True)
    weights = pack_constant(sure(packed(chain.weights.shape, "float32")), chain.weights)
    operands = [ctx.rows(chain.x), ctx.rows(r), ctx.rows(state), weights]
    return ctx.emit(recurrent(problem), operands, layout, chain.call.op.name)


RULES = dict.fromkeys(STEPS, step)
