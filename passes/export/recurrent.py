"""Steps of LSTM and GRU layers in ONNX (opset 17): the equations of targets/recurrent_math.py, each gate a slice of the
rows."""

import numpy as np


def _gate(x, index, hidden, out):
    bounds = [out.constant(np.array([value], np.int64)) for value in (index * hidden, (index + 1) * hidden, 1)]
    return out.node("Slice", [x, *bounds])


def _sum(x, r, index, hidden, out):
    return out.node("Add", [_gate(x, index, hidden, out), _gate(r, index, hidden, out)])


def _hidden(call):
    return int(call.ty.shape.values[-1])


def lstm_state(call, operands, out):
    (x, r, c), hidden = operands, _hidden(call)
    entering, kept = (out.node("Sigmoid", [_sum(x, r, gate, hidden, out)]) for gate in (0, 2))
    new = out.node("Tanh", [_sum(x, r, 3, hidden, out)])
    return out.node("Add", [out.node("Mul", [kept, c]), out.node("Mul", [entering, new])])


def lstm_output(call, operands, out):
    x, r, c = operands
    return out.node("Mul", [out.node("Sigmoid", [_sum(x, r, 1, _hidden(call), out)]), out.node("Tanh", [c])])


def gru_output(call, operands, out):
    (x, r, h), hidden = operands, _hidden(call)
    update, reset = (out.node("Sigmoid", [_sum(x, r, gate, hidden, out)]) for gate in (0, 1))
    recurrent = out.node("Mul", [reset, _gate(r, 2, hidden, out)])
    new = out.node("Tanh", [out.node("Add", [_gate(x, 2, hidden, out), recurrent])])
    rest = out.node("Sub", [out.constant(np.float32(1)), update])
    return out.node("Add", [out.node("Mul", [rest, new]), out.node("Mul", [update, h])])


EXPORTERS = {"octet.lstm_state": lstm_state, "octet.lstm_output": lstm_output, "octet.gru_output": gru_output}
