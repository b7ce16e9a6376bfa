"""Loops over the steps of recurrent layers (passes/operators/loops.py): the kernels of one step, called again and
again.

    octet.loop_slice(x, t)        ==>   copy of the step's rows of x
    octet.loop_stack(y, ..)       ==>   copy to the step's rows
    octet.loop_state(start, t)    ==>   a buffer, start copied to it
    next                          ==>   copied to that buffer

Each copy is a kernel of the lowered module whose note `octet.loop` says which of them it is; roll.py makes memcpy calls
and loops of them. All forms that a step reads of what lies outside are made in front of the loop."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tvm.tirx.script import builder as T

from ....targets.x86.kernel import built_once, emit_kernel
from ....targets.x86.layout import SLACK, Layout, packed, sure
from ....targets.x86.movement.copy import copy
from ....targets.x86.vector_loops import tensors
from ... import ops
from ...ops import shape_of
from ...rewriting.loops import MARKS, RecurrentLoop

if TYPE_CHECKING:
    from tvm import relax, tirx

    from ..cpu.context import CpuContext


def lower_loop(loop: RecurrentLoop, ctx: "CpuContext", bind: Callable[..., Any]) -> None:
    """Lowers a recurrent loop. bind(variable, value) lowers a binding of the body."""
    slices = [(var, ctx.packed(value.args[0])) for var, value in loop.body if ops.is_op(value, "octet.loop_slice")]
    for var, start in loop.states.values():
        layout = _layout(var)
        ctx.values[var] = ctx.emit(
            copy(layout), [ctx.packed(start)], layout, "octet.loop_state", "memcpy", notes={"loop": "state"}
        )
    for var, sequence in slices:
        layout = _layout(var)
        ctx.values[var] = ctx.emit(
            _first_step(sequence.layout, layout),
            [sequence],
            layout,
            "octet.loop_slice",
            "memcpy",
            notes={"loop": "slice"},
        )
    for var, value in loop.body:
        if not ops.is_op(value, *MARKS):
            bind(var, value)
    for var, value in loop.results:
        found = ctx.packed(value.args[0])
        ctx.values[var] = found
        if ops.is_op(value, "octet.loop_stack"):
            layout = _layout(var)
            ctx.values[var] = ctx.emit(
                _first_step(found.layout, layout),
                [found],
                layout,
                "octet.loop_stack",
                "memcpy",
                notes={"loop": "stack"},
            )
            ctx.parted.add(ctx.values[var].var)  # The stack is written step by step, so the network's result is a copy.
    states = {index: ctx.values[var] for index, (var, _) in loop.states.items()}
    for var in {var for var, _ in loop.states.values()} & loop.read:
        ctx.values[var] = ctx.emit(copy(_layout(var)), [ctx.values[var]], _layout(var), "octet.loop_state", "memcpy")
    followers = {index: ctx.packed(each) for index, each in enumerate(loop.next)}
    assert not any(value.var.same_as(state.var) for value in followers.values() for state in states.values()), (
        "a state follows on a state"
    )
    for index, state in states.items():
        notes = {"loop": "next", "steps": -loop.steps if loop.reverse else loop.steps}
        ctx.emit(
            _first_step(state.layout, state.layout, state.layout),
            [followers[index], state],
            state.layout,
            "octet.loop_state",
            "memcpy",
            notes=notes,
        )


def _layout(var: "relax.Var") -> Layout:
    return sure(packed(shape_of(var), "float32"))


@built_once
def _first_step(*layouts: Layout) -> "tirx.PrimFunc":
    """(x, .., y): what the first step copies."""

    def body() -> None:
        x, *_, y = tensors(**{f"x{i}": layout for i, layout in enumerate(layouts[:-1])}, y=layouts[-1])
        with T.serial(0, min(layout.elements - SLACK for layout in (layouts[0], layouts[-1]))) as i:
            T.buffer_store(y, x[i], [i])

    return emit_kernel("step_" + "_".join("x".join(map(str, layout.shape)) for layout in layouts), body)
