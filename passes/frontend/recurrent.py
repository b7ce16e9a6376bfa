"""LSTM, GRU and RNN: short ones unrolled over time, long ones as a loop (passes/operators/loops.py).

The input projections of all steps are one linear layer; a step is a linear layer on the hidden state (its weights
shared by all steps) and one or two elementwise operators on the gates (targets/recurrent_math.py). So the matrix
products can be int8, the gates and the cell state stay float."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tvm import relax

from ...targets.errors import UnsupportedModelError
from .. import ops
from ..ops import shape_of

if TYPE_CHECKING:
    from .node import OnnxNode

_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
_DEFAULT = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}
UNROLLED = 8  # steps; more of them are a loop


@dataclass(frozen=True)
class _Direction:
    """One direction of a layer: index of its weights, and whether it runs backwards."""

    index: int
    reverse: bool


def recurrent(node: "OnnxNode") -> relax.Tuple:
    """(Y, Y_h[, Y_c]), the results of an LSTM, GRU or RNN in ONNX's order."""
    batch_first = bool(node.attrs.get("layout", 0))
    x = node.emit(relax.op.permute_dims(node.inputs[0], [1, 0, 2]), "time_first") if batch_first else node.inputs[0]
    steps, batch, _ = shape_of(x)
    way = node.text("direction", "forward")
    if way not in ("forward", "reverse", "bidirectional"):
        raise UnsupportedModelError(f"has the direction {way[:40]!a}; export it again")
    _check(node, steps, 2 if way == "bidirectional" else 1)
    directions = [_Direction(0, way == "reverse")] + [_Direction(1, True)] * (way == "bidirectional")
    found = [_Layer(node, x, steps, batch, direction).run() for direction in directions]
    sequences, last, cells = zip(*found)
    y = sequences[0] if len(found) == 1 else node.emit(relax.op.concat(list(sequences), axis=1), "both")
    states = [
        _join(node, states, name) for states, name in ((last, "hidden"), (cells, "cell")) if states[0] is not None
    ]
    if batch_first:
        y = node.emit(relax.op.permute_dims(y, [2, 0, 1, 3]), "sequence")
        states = [node.emit(relax.op.permute_dims(state, [1, 0, 2]), f"state{i}") for i, state in enumerate(states)]
    return relax.Tuple([y, *states][: node.outputs])


def _join(node: "OnnxNode", states: tuple[relax.Var, ...], name: str) -> relax.Var:
    return states[0] if len(states) == 1 else node.emit(relax.op.concat(list(states), axis=0), name)


def _check(node: "OnnxNode", steps: int, ways: int) -> None:
    activations = [
        a.decode() if isinstance(a, bytes) else a for a in node.attrs.get("activations", _DEFAULT[node.op] * ways)
    ]
    if [a.lower() for a in activations] != [a.lower() for a in _DEFAULT[node.op] * ways]:
        raise UnsupportedModelError(
            f"has the activations {', '.join(activations)}; export it with {', '.join(_DEFAULT[node.op])}"
        )
    if node.attrs.get("clip") or node.attrs.get("input_forget"):
        raise UnsupportedModelError("clips its gates or couples them; export a plain one")
    lengths = node.array(4, "sequence lengths")
    if lengths is not None and np.any(lengths != steps):
        raise UnsupportedModelError("has sequences of different lengths; export it for one length")
    hidden, gates = node.attrs.get("hidden_size", node.array(2, "weights").shape[-1]), _GATES[node.op]
    extents = {
        1: ("weights", [ways, gates * hidden, node.shape(0)[-1]]),
        2: ("weights", [ways, gates * hidden, hidden]),
        3: ("bias", [ways, 2 * gates * hidden]),
        7: ("peepholes", [ways, 3 * hidden]),
    }
    for index, (what, shape) in extents.items():
        array = node.array(index, what)
        if array is not None and list(array.shape) != shape:
            raise UnsupportedModelError(
                f"has {what} of extents {list(array.shape)} where hidden_size {hidden} and {ways} direction(s) mean "
                f"{shape}; export it again"
            )


State = relax.Expr | None  # None: zeros, or what the layer does not have


class _Layer:
    """One direction over time."""

    def __init__(self, node: "OnnxNode", x: relax.Expr, steps: int, batch: int, direction: _Direction) -> None:
        self.node, self.x, self.steps, self.batch, self.direction = node, x, steps, batch, direction
        w, r = (node.arrays[i][direction.index] for i in (1, 2))
        self.width, self.hidden = w.shape[0], r.shape[1]
        bias = node.arrays[3][direction.index] if node.has(3) else np.zeros(2 * self.width, "float32")
        self.w, self.r = np.ascontiguousarray(w.T), np.ascontiguousarray(r.T)
        self.own, self.recurrent = bias[: self.width].copy(), bias[self.width :].copy()
        self.linear_before_reset = bool(node.attrs.get("linear_before_reset", 0))
        kept = 2 * self.hidden if node.op == "GRU" and self.linear_before_reset else self.width
        self.own[:kept] += self.recurrent[:kept]  # one bias where the two are only added
        self.recurrent[:kept] = 0
        self.peepholes = None
        if node.has(7) and node.arrays[7].any():
            i, o, f = node.arrays[7][direction.index].reshape(3, self.hidden)
            none = np.zeros_like(i)
            self.peepholes = np.concatenate([i, none, f, none])[None], np.concatenate([none, o, none, none])[None]

    def emit(self, expr: relax.Call, name: str) -> relax.Var:
        return self.node.emit(expr, f"{name}{'b' if self.direction.reverse else ''}")

    def run(self) -> tuple[State, ...]:
        """([T, 1, B, H], [1, B, H], [1, B, H] or None)."""
        projected = self.project()
        h, c = self.initial(5, "h"), self.initial(6, "c") if self.node.op == "LSTM" else None
        sequence, h, c = (self.looped if self.steps > UNROLLED else self.unrolled)(projected, h, c)
        return sequence, *(
            None if s is None else self.emit(relax.op.reshape(s, [1, self.batch, self.hidden]), f"last_{n}")
            for s, n in ((h, "h"), (c, "c"))
        )

    def looped(self, projected: relax.Expr, h: State, c: State) -> tuple[State, ...]:
        """([T, 1, B, H], h and c of the last step)."""
        t = self.emit(ops.call("octet.loop_index", [], steps=self.steps, reverse=int(self.direction.reverse)), "t")
        x = self.emit(ops.call("octet.loop_slice", [projected, t]), "x")
        starts = [self.zeros() if state is None else state for state in (h, c)[: 2 if self.node.op == "LSTM" else 1]]
        before = [
            self.emit(ops.call("octet.loop_state", [start, t], index=i), f"{'hc'[i]}_before")
            for i, start in enumerate(starts)
        ]
        after = [
            state
            for state in self.step("", x, before[0], before[1] if len(before) == 2 else None, relax.const(self.r))
            if state is not None
        ]
        stacked = self.emit(ops.call("octet.loop_stack", [after[0], t, *after], steps=self.steps), "stack")
        sequence = self.emit(relax.op.reshape(stacked, [self.steps, 1, self.batch, self.hidden]), "sequence")
        last = [
            self.emit(ops.call("octet.loop_last", [state, t, *after]), f"final_{'hc'[i]}")
            for i, state in enumerate(after)
        ]
        return (sequence, *last, *[None] * (2 - len(last)))

    def unrolled(self, projected: relax.Var, h: State, c: State) -> tuple[State, ...]:
        """([T, 1, B, H], h and c of the last step), with the operators of every step written out."""
        hidden = relax.const(self.r)
        outputs: list[relax.Expr] = [projected] * self.steps  # each is replaced by its step's
        for t in reversed(range(self.steps)) if self.direction.reverse else range(self.steps):
            x = self.emit(relax.op.strided_slice(projected, [0], [t], [t + 1]), f"slice{t}")
            x = self.emit(relax.op.reshape(x, [self.batch, self.width]), f"x{t}")
            h, c = self.step(t, x, h, c, hidden)
            outputs[t] = self.emit(relax.op.reshape(h, [1, 1, self.batch, self.hidden]), f"y{t}")
        return outputs[0] if self.steps == 1 else self.emit(relax.op.concat(outputs, axis=0), "sequence"), h, c

    def project(self) -> relax.Var:
        """The input's part of all gates at all steps: [T, B, gates]."""
        rows = self.emit(relax.op.reshape(self.x, [self.steps * self.batch, self.w.shape[0]]), "rows")
        product = self.emit(relax.op.matmul(rows, relax.const(self.w)), "input")
        biased = self.emit(relax.op.add(product, relax.const(self.own)), "input_bias")
        return self.emit(relax.op.reshape(biased, [self.steps, self.batch, self.width]), "projected")

    def initial(self, index: int, name: str) -> State:
        """A state given as an input [directions, B, H], or None for zeros."""
        if not self.node.has(index):
            return None
        state = self.node.inputs[index]
        if len(self.node.shape(index)) == 3 and self.node.attrs.get("layout", 0):
            state = self.emit(relax.op.permute_dims(state, [1, 0, 2]), f"{name}_time_first")
        own = self.emit(
            relax.op.strided_slice(state, [0], [self.direction.index], [self.direction.index + 1]), f"{name}_own"
        )
        return self.emit(relax.op.reshape(own, [self.batch, self.hidden]), f"{name}_start")

    def zeros(self) -> relax.Expr:
        return relax.const(np.zeros((self.batch, self.hidden), "float32"))

    def step(self, t: int | str, x: relax.Expr, h: State, c: State, weight: relax.Expr) -> tuple[relax.Expr, State]:
        """(h, c) behind step `t`, from those in front of it and the input's part of the gates."""
        if self.node.op == "GRU" and not self.linear_before_reset:
            return self.gru(t, x, self.zeros() if h is None else h), None
        if h is None:
            r = relax.const(np.tile(self.recurrent, (self.batch, 1)))
        else:
            r = self.emit(relax.op.matmul(h, weight), f"recurrent{t}")
            if self.recurrent.any():
                r = self.emit(relax.op.add(r, relax.const(self.recurrent)), f"recurrent_bias{t}")
        if self.node.op == "RNN":
            total = self.emit(relax.op.add(x, r), f"sum{t}")
            return self.emit(ops.call("octet.unary", [total], kind="tanh"), f"h{t}"), None
        if self.node.op == "GRU":
            return self.emit(ops.call("octet.gru_output", [x, r, self.zeros() if h is None else h]), f"h{t}"), None
        before = x if c is None or self.peepholes is None else self.seen(x, c, self.peepholes[0], f"state{t}")
        c = self.emit(ops.call("octet.lstm_state", [before, r, self.zeros() if c is None else c]), f"c{t}")
        after = x if self.peepholes is None else self.seen(x, c, self.peepholes[1], f"output{t}")
        return self.emit(ops.call("octet.lstm_output", [after, r, c]), f"h{t}"), c

    def seen(self, x: relax.Expr, c: relax.Expr, weights: np.ndarray, name: str) -> relax.Var:
        """The gates' inputs with what they see of the cell through peepholes, gates in ONNX's order i, o, f, c."""
        cells = self.emit(relax.op.concat([c] * 4, axis=1), f"{name}_cells")
        seen = self.emit(relax.op.multiply(cells, relax.const(np.ascontiguousarray(weights))), f"{name}_seen")
        return self.emit(relax.op.add(x, seen), f"{name}_peepholes")

    def gru(self, t: int | str, x: relax.Expr, h: relax.Expr) -> relax.Var:
        """The reset gate multiplies the state in front of the product: two products one behind the other."""
        n = self.hidden

        def gates(first: int, last: int, state: relax.Expr, name: str) -> relax.Var:
            product = self.emit(
                relax.op.matmul(state, relax.const(np.ascontiguousarray(self.r[:, first:last]))), f"{name}_product{t}"
            )
            own = self.emit(relax.op.strided_slice(x, [1], [first], [last]), f"{name}_x{t}")
            return self.emit(relax.op.add(own, product), f"{name}_sum{t}")

        both = self.emit(ops.call("octet.unary", [gates(0, 2 * n, h, "gates")], kind="sigmoid"), f"gates{t}")
        update, reset = (
            self.emit(relax.op.strided_slice(both, [1], [i * n], [(i + 1) * n]), f"{name}{t}")
            for i, name in enumerate(("update", "reset"))
        )
        kept = self.emit(relax.op.multiply(reset, h), f"kept{t}")
        new = self.emit(ops.call("octet.unary", [gates(2 * n, 3 * n, kept, "new")], kind="tanh"), f"new{t}")
        # (1 - update) * new + update * h
        difference = self.emit(relax.op.subtract(h, new), f"difference{t}")
        return self.emit(relax.op.add(new, self.emit(relax.op.multiply(update, difference), f"moved{t}")), f"h{t}")


CONVERTERS = dict.fromkeys(_GATES, recurrent)
