"""One step of an LSTM or GRU behind its matrix products, as fixed sequences of float32 operations (see float_math.py
for `m`)."""

from typing import TYPE_CHECKING

from . import float_math

if TYPE_CHECKING:
    from .float_ops import FloatOps, FloatValue


def lstm_state(m: "FloatOps", x: "FloatValue", r: "FloatValue", c: "FloatValue") -> "FloatValue":
    """The new cell state. x, r: gates of the input and of the recurrent product, in ONNX's order i, o, f, g; c: the old
    state."""
    i, f, g = (m.add(x[gate], r[gate]) for gate in (0, 2, 3))
    return m.add(m.mul(float_math.sigmoid(m, f), c), m.mul(float_math.sigmoid(m, i), float_math.tanh(m, g)))


def lstm_output(m: "FloatOps", x: "FloatValue", r: "FloatValue", c: "FloatValue") -> "FloatValue":
    """The hidden state. c: the new cell state."""
    return m.mul(float_math.sigmoid(m, m.add(x[1], r[1])), float_math.tanh(m, c))


def gru_output(m: "FloatOps", x: "FloatValue", r: "FloatValue", h: "FloatValue") -> "FloatValue":
    """The new hidden state. Gates z, r, n; the reset gate multiplies the recurrent product (linear_before_reset); h:
    the old state."""
    update, reset = (float_math.sigmoid(m, m.add(x[gate], r[gate])) for gate in (0, 1))
    new = float_math.tanh(m, m.add(x[2], m.mul(reset, r[2])))
    return m.add(m.mul(m.sub(m.const(1.0), update), new), m.mul(update, h))


# Every operator has its function and the number of its gates.
STEPS = {
    "octet.lstm_state": (lstm_state, 4),
    "octet.lstm_output": (lstm_output, 4),
    "octet.gru_output": (gru_output, 3),
}
