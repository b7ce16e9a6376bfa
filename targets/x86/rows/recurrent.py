"""The elementwise part of one step of an LSTM or GRU (targets/recurrent_math.py) on rows of float32."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvm.tirx.script import builder as T

from ...cpu.expressions import bind, load_vector, store_vector
from ...recurrent_math import STEPS
from ..elementwise.math import VectorOps
from ..kernel import built_once, emit_kernel
from ..layout import Layout
from ..vector_loops import each, reuse, tensors

if TYPE_CHECKING:
    from tvm import tirx


@dataclass(frozen=True)
class RecurrentProblem:
    """One step of an LSTM or GRU. kind: of STEPS. rows x hidden: the state; the gates of a row lie behind each other,
    `hidden` apart. peepholes: whether every gate's input comes with the state times a weight of its own, [1, gates]."""

    kind: str
    rows: int
    hidden: int
    peepholes: bool = False

    @property
    def state(self) -> Layout:
        """The layout of the state before and after the step, float32 [rows, hidden]."""
        return Layout("rows", (self.rows, self.hidden), "float32")

    @property
    def gates(self) -> Layout:
        """The layout of the sums of both layers, float32 [rows, hidden * gates of the kind]."""
        return Layout("rows", (self.rows, self.hidden * STEPS[self.kind][1]), "float32")


@built_once
def recurrent(p: RecurrentProblem) -> "tirx.PrimFunc":
    """The kernel (x, r, state[, weights], y) of one step of an LSTM or GRU."""
    function, count = STEPS[p.kind]
    weights = {"weights": Layout("rows", (1, p.hidden * count), "float32")} if p.peepholes else {}

    def body() -> None:
        x, r, state, *seen, y = tensors(x=p.gates, r=p.gates, state=p.state, **weights, y=p.state)
        vectors = p.state.channel_stride // 16
        with each(p.rows, 0) as row:
            gates, at = bind(row * p.gates.channel_stride), bind(row * p.state.channel_stride)
            with T.serial(0, vectors) as v:
                pair = [
                    [reuse(load_vector(buffer, gates + gate * p.hidden + v * 16, 16)) for gate in range(count)]
                    for buffer in (x, r)
                ]
                before = reuse(load_vector(state, at + v * 16, 16))
                if p.peepholes:
                    pair[0] = [
                        VectorOps.add(value, VectorOps.mul(before, load_vector(seen[0], gate * p.hidden + v * 16, 16)))
                        for gate, value in enumerate(pair[0])
                    ]
                store_vector(y, at + v * 16, function(VectorOps, pair[0], pair[1], before))

    return emit_kernel(f"{p.kind.split('.')[1]}{'_seen' * p.peepholes}_{p.rows}x{p.hidden}", body)
