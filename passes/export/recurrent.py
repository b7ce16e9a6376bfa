"""Steps of LSTM and GRU layers in ONNX (opset 17): the equations of targets/recurrent_math.py, each gate a slice of the
rows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tvm import relax

    from .onnx_qdq import Emitter


def _gate(x: str, index: int, hidden: int, out: "Emitter") -> str:
    bounds = [out.constant(np.array([value], np.int64)) for value in (index * hidden, (index + 1) * hidden, 1)]
    return out.node("Slice", [x, *bounds])


def _sum(x: str, r: str, index: int, hidden: int, out: "Emitter") -> str:
    return out.node("Add", [_gate(x, index, hidden, out), _gate(r, index, hidden, out)])


def _hidden(call: "relax.Call") -> int:
    return int(call.ty.shape.values[-1])


def lstm_state(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    """The new cell state, gate by gate."""
    (x, r, c), hidden = operands, _hidden(call)
    entering, kept = (out.node("Sigmoid", [_sum(x, r, gate, hidden, out)]) for gate in (0, 2))
    new = out.node("Tanh", [_sum(x, r, 3, hidden, out)])
    return out.node("Add", [out.node("Mul", [kept, c]), out.node("Mul", [entering, new])])


def lstm_output(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    """The hidden state of the new cell state."""
    x, r, c = operands
    return out.node("Mul", [out.node("Sigmoid", [_sum(x, r, 1, _hidden(call), out)]), out.node("Tanh", [c])])


def gru_output(call: "relax.Call", operands: Sequence[str], out: "Emitter") -> str:
    """The new hidden state; the reset gate multiplies the recurrent product."""
    (x, r, h), hidden = operands, _hidden(call)
    update, reset = (out.node("Sigmoid", [_sum(x, r, gate, hidden, out)]) for gate in (0, 1))
    recurrent = out.node("Mul", [reset, _gate(r, 2, hidden, out)])
    new = out.node("Tanh", [out.node("Add", [_gate(x, 2, hidden, out), recurrent])])
    rest = out.node("Sub", [out.constant(np.float32(1)), update])
    return out.node("Add", [out.node("Mul", [rest, new]), out.node("Mul", [update, h])])


EXPORTERS = {"octet.lstm_state": lstm_state, "octet.lstm_output": lstm_output, "octet.gru_output": gru_output}
