"""The elementwise part of one step of an LSTM or GRU (targets/recurrent_math.py) on rows of float32."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvm.tirx.script import builder as T

from ...recurrent_math import STEPS
from ..elementwise.math import VectorOps
from ..intrinsics import bind, load, store
from ..kernel import built_once, emit_kernel
from ..layout import Layout
from ..vector_loops import each, tensors
from .pieces import held

if TYPE_CHECKING:
    from tvm import tirx


@dataclass(frozen=True)
class RecurrentProblem:
    """kind: of STEPS. rows x hidden: the state; the gates of a row lie behind each other, `hidden` apart."""

    kind: str
    rows: int
    hidden: int

    @property
    def state(self) -> Layout:
        """Float32 [rows, hidden], before and after the step."""
        return Layout("rows", (self.rows, self.hidden), "float32")

    @property
    def gates(self) -> Layout:
        """Float32 [rows, hidden * gates of the kind], the sums of both layers."""
        return Layout("rows", (self.rows, self.hidden * STEPS[self.kind][1]), "float32")


@built_once
def recurrent(p: RecurrentProblem) -> "tirx.PrimFunc":
    """(x, r, state, y)."""
    function, count = STEPS[p.kind]

    def body() -> None:
        x, r, state, y = tensors(x=p.gates, r=p.gates, state=p.state, y=p.state)
        vectors = p.state.channel_stride // 16
        with each(p.rows, 0) as row:
            gates, at = bind(row * p.gates.channel_stride), bind(row * p.state.channel_stride)
            with T.serial(0, vectors) as v:
                pair = [
                    [held(load(buffer, gates + gate * p.hidden + v * 16, 16)) for gate in range(count)]
                    for buffer in (x, r)
                ]
                store(y, at + v * 16, function(VectorOps, pair[0], pair[1], held(load(state, at + v * 16, 16))))

    return emit_kernel(f"{p.kind.split('.')[1]}_{p.rows}x{p.hidden}", body)
