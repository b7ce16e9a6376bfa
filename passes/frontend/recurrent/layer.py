"""LSTM, GRU and RNN: short ones unrolled over time, long ones as a loop (passes/operators/loops.py).

The input projections of all steps are one linear layer; a step is a linear layer on the hidden state (its weights
shared by all steps) and one or two elementwise operators on the gates (targets/recurrent_math.py). So the matrix
products can be int8, the gates and the cell state stay float. Where sequences end earlier than others, states stay as
they were from there on and results are 0."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tvm import relax

from ....targets.errors import UnsupportedModelError
from ... import ops
from ...ops import shape_of
from .gates import GATES, Functions, check_recurrent, gate_functions, within_lengths

if TYPE_CHECKING:
    from ..node import OnnxNode

UNROLLED = 8  # A layer of more steps becomes a loop.


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
    ways = 2 if way == "bidirectional" else 1
    check_recurrent(node, ways)
    functions, inside = gate_functions(node, ways), within_lengths(node, steps, batch)
    directions = [_Direction(0, way == "reverse")] + [_Direction(1, True)] * (way == "bidirectional")
    found = [_Layer(node, x, steps, batch, each, functions[each.index], inside).run() for each in directions]
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


State = relax.Expr | None  # None stands for zeros, or for what the layer does not have.


class _Layer:
    """One direction over time."""

    def __init__(
        self,
        node: "OnnxNode",
        x: relax.Expr,
        steps: int,
        batch: int,
        direction: _Direction,
        functions: Functions,
        inside: relax.Expr | None,
    ) -> None:
        self.node, self.x, self.steps, self.batch, self.direction = node, x, steps, batch, direction
        self.functions, self.inside = functions, inside
        w, r = (node.arrays[i][direction.index] for i in (1, 2))
        self.width, self.hidden = w.shape[0], r.shape[1]
        bias = node.arrays[3][direction.index] if node.has(3) else np.zeros(2 * self.width, "float32")
        self.w, self.r = np.ascontiguousarray(w.T), np.ascontiguousarray(r.T)
        self.own, self.recurrent = bias[: self.width].copy(), bias[self.width :].copy()
        self.linear_before_reset = bool(node.attrs.get("linear_before_reset", 0))
        kept = 2 * self.hidden if node.op == "GRU" and self.linear_before_reset else self.width
        self.own[:kept] += self.recurrent[:kept]  # Where the two biases are only added, they become one.
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
        inside = self.inside
        here = None if inside is None else self.emit(ops.call("octet.loop_slice", [inside, t]), "inside")
        c_before = before[1] if len(before) == 2 else None
        y, *states = self.bounded("", x, before[0], c_before, relax.const(self.r), here)
        after = [state for state in states if state is not None]
        stacked = self.emit(ops.call("octet.loop_stack", [y, t, *after], steps=self.steps), "stack")
        sequence = self.emit(relax.op.reshape(stacked, [self.steps, 1, self.batch, self.hidden]), "sequence")
        last = [
            self.emit(ops.call("octet.loop_last", [state, t, *after]), f"final_{'hc'[i]}")
            for i, state in enumerate(after)
        ]
        return (sequence, *last, *[None] * (2 - len(last)))

    def unrolled(self, projected: relax.Var, h: State, c: State) -> tuple[State, ...]:
        """([T, 1, B, H], h and c of the last step), with the operators of every step written out."""
        hidden = relax.const(self.r)
        outputs: list[relax.Expr] = [projected] * self.steps  # Every element is replaced by its step's output.
        for t in reversed(range(self.steps)) if self.direction.reverse else range(self.steps):
            x = self.emit(relax.op.strided_slice(projected, [0], [t], [t + 1]), f"slice{t}")
            x = self.emit(relax.op.reshape(x, [self.batch, self.width]), f"x{t}")
            y, h, c = self.bounded(t, x, h, c, hidden, self.inside_at(t))
            outputs[t] = self.emit(relax.op.reshape(y, [1, 1, self.batch, self.hidden]), f"y{t}")
        return outputs[0] if self.steps == 1 else self.emit(relax.op.concat(outputs, axis=0), "sequence"), h, c

    def inside_at(self, t: int) -> State:
        """1 where a sequence has not ended at step `t`, else 0: [B, H]. None where all are as long as the layer."""
        if self.inside is None:
            return None
        one = self.emit(relax.op.strided_slice(self.inside, [0], [t], [t + 1]), f"inside_slice{t}")
        return self.emit(relax.op.reshape(one, [self.batch, self.hidden]), f"inside{t}")

    def bounded(
        self, t: int | str, x: relax.Expr, h: State, c: State, weight: relax.Expr, inside: State
    ) -> tuple[relax.Expr, relax.Expr, State]:
        """(result, h, c) of a step, of which sequences that have ended keep their states and give 0."""
        new, cell = self.step(t, x, h, c, weight)
        if inside is None:
            return new, new, cell
        y = self.emit(relax.op.multiply(new, inside), f"result{t}")
        outside = self.emit(relax.op.subtract(relax.const(np.float32(1)), inside), f"outside{t}")

        def kept(after: relax.Expr, before: State, name: str) -> relax.Expr:
            """Exact: one of the two products is the state, the other 0."""
            if before is None:
                return after
            held = self.emit(relax.op.multiply(before, outside), f"{name}_held{t}")
            return self.emit(relax.op.add(after, held), f"{name}_kept{t}")

        if cell is not None:
            cell = kept(self.emit(relax.op.multiply(cell, inside), f"c_inside{t}"), c, "c")
        return y, kept(y, h, "h"), cell

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
            return self.activated(0, total, f"h{t}"), None
        if self.node.op == "GRU" and not self.functions.usual:
            return self.gru_reset_behind(t, x, r, self.zeros() if h is None else h), None
        if self.node.op == "GRU":
            return self.emit(ops.call("octet.gru_output", [x, r, self.zeros() if h is None else h]), f"h{t}"), None
        before = x if c is None or self.peepholes is None else self.seen(x, c, self.peepholes[0], f"state{t}")
        if not self.functions.usual:
            return self.lstm(t, before, x, r, self.zeros() if c is None else c)
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

        both = self.activated(0, gates(0, 2 * n, h, "gates"), f"gates{t}")
        update, reset = (
            self.emit(relax.op.strided_slice(both, [1], [i * n], [(i + 1) * n]), f"{name}{t}")
            for i, name in enumerate(("update", "reset"))
        )
        kept = self.emit(relax.op.multiply(reset, h), f"kept{t}")
        new = self.activated(1, gates(2 * n, 3 * n, kept, "new"), f"new{t}")
        return self.moved(t, update, new, h)

    def moved(self, t: int | str, update: relax.Expr, new: relax.Expr, h: relax.Expr) -> relax.Var:
        """(1 - update) * new + update * h."""
        difference = self.emit(relax.op.subtract(h, new), f"difference{t}")
        return self.emit(relax.op.add(new, self.emit(relax.op.multiply(update, difference), f"moved{t}")), f"h{t}")

    def gru_reset_behind(self, t: int | str, x: relax.Expr, r: relax.Expr, h: relax.Expr) -> relax.Var:
        """The reset gate multiplies what the product gave, with functions that `octet.gru_output` does not have."""
        own, product = ([self.gate(each, i, f"{k}{t}") for i in range(3)] for each, k in ((x, "own"), (r, "product")))
        update, reset = (
            self.activated(0, self.emit(relax.op.add(a, b), f"{name}_sum{t}"), f"{name}{t}")
            for a, b, name in zip(own, product, ("update", "reset"))
        )
        kept = self.emit(relax.op.multiply(reset, product[2]), f"kept{t}")
        new = self.activated(1, self.emit(relax.op.add(own[2], kept), f"new_sum{t}"), f"new{t}")
        return self.moved(t, update, new, h)

    def lstm(
        self, t: int | str, before: relax.Expr, x: relax.Expr, r: relax.Expr, c: relax.Expr
    ) -> tuple[relax.Var, relax.Var]:
        """(h, c) with functions that `octet.lstm_state` and `octet.lstm_output` do not have. before: the gates' inputs
        that see the cell in front of the step."""
        total = self.emit(relax.op.add(before, r), f"sum{t}")

        def gate(index: int, name: str, function: int) -> relax.Var:
            return self.activated(function, self.gate(total, index, f"{name}{t}"), f"{name}_gate{t}")

        i, new = gate(0, "in", 0), gate(3, "new", 1)
        if self.functions.coupled:
            f = self.emit(relax.op.subtract(relax.const(np.float32(1)), i), f"forget_gate{t}")
        else:
            f = gate(2, "forget", 0)
        added = self.emit(relax.op.multiply(i, new), f"added{t}")
        c = self.emit(relax.op.add(self.emit(relax.op.multiply(f, c), f"left{t}"), added), f"c{t}")
        after = x if self.peepholes is None else self.seen(x, c, self.peepholes[1], f"output{t}")
        out = self.emit(relax.op.add(self.gate(after, 1, f"out_x{t}"), self.gate(r, 1, f"out_r{t}")), f"out{t}")
        shown = self.emit(self.functions[2](c), f"shown{t}")  # ONNX Runtime bounds gates only, not the cell.
        return self.emit(relax.op.multiply(self.activated(0, out, f"out_gate{t}"), shown), f"h{t}"), c

    def activated(self, function: int, x: relax.Expr, name: str) -> relax.Var:
        """A function of a gate, within the bound of the node."""
        if (bound := self.functions.clip) is not None:
            x = self.emit(relax.op.clip(x, -bound, bound), f"{name}_clipped")
        return self.emit(self.functions[function](x), name)

    def gate(self, gates: relax.Expr, index: int, name: str) -> relax.Var:
        """[B, H] of gate `index`."""
        return self.emit(relax.op.strided_slice(gates, [1], [index * self.hidden], [(index + 1) * self.hidden]), name)


CONVERTERS = dict.fromkeys(GATES, recurrent)
