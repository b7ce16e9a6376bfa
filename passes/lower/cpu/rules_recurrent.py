"""octet.lstm_state, octet.lstm_output, octet.gru_output: one kernel each on rows."""

from ....targets.recurrent_math import STEPS
from ....targets.x86.layout import packed
from ....targets.x86.rows.recurrent import RecurrentProblem, recurrent


def step(call, ctx):
    layout = packed((int(d) for d in call.ty.shape.values), "float32")
    problem = RecurrentProblem(call.op.name, *layout.shape)
    return ctx.emit(recurrent(problem), [ctx.rows(arg) for arg in call.args], layout, call.op.name)


RULES = dict.fromkeys(STEPS, step)
