"""Pieces -> one program: what crosses them lies in the arena as a whole batch, what stays inside one piece in its
thread's lane.

A kernel wants its operands on 64-byte boundaries. Where the samples of a chunk do not begin on one, they are copied to
and from the lane."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import tvm

from ....targets.variant import Step
from ....targets.x86.layout import SLACK
from .. import memory
from ..linearize import place_calls
from ..program import KernelCall, Kernels, Loop, Place, Program, Weights
from .pieces import Crossing, Piece

if TYPE_CHECKING:
    from tvm import relax

    from ....targets.x86.layout import Layout


def link_pieces(
    pieces: list[Piece], modules: list[tvm.IRModule], params: "list[relax.Expr]", weights: Weights
) -> tuple[Program, tvm.IRModule]:
    """(the program, a module with the kernels of all pieces). modules: of the pieces, lowered and scheduled. params: of
    the whole network, in order.
    weights: where constants go, as `linearize` has it."""
    kernels, loops, lane_bytes = Kernels(), [], 0
    calls: list[KernelCall] = []
    placed: list[tuple[list[KernelCall], int]] = []
    for module in modules:
        unnamed, arena, _ = place_calls(module, weights)
        placed.append((kernels.added(module, unnamed), arena))
    offsets, arena_bytes = _arena(pieces, [arena for _, arena in placed])
    for number, (piece, (own, arena)) in enumerate(zip(pieces, placed)):
        linker = _Linker(piece, offsets, params, offsets.get(number, 0), arena)
        own = linker.run(own)
        if piece.chunks > 1:
            loops.append(Loop(len(calls), len(calls) + len(own), piece.chunks))
            lane_bytes = max(lane_bytes, linker.lane_bytes)
        calls += own
    named = [
        replace(call, step=replace(call.step, name=f"{i}:{call.step.name.split(':', 1)[1]}"))
        for i, call in enumerate(calls)
    ]
    return Program(tuple(named), weights.blob_bytes, arena_bytes, tuple(loops), lane_bytes), tvm.IRModule(
        kernels.functions
    )


def _arena(pieces: list[Piece], own: list[int]) -> "tuple[dict[int | relax.Var, int], int]":
    """({variable or number of a piece: offset}, bytes). own: bytes that each piece uses inside; in parts they lie in
    lanes."""
    lives: dict[Any, tuple[int, int, int]] = {}
    for number, piece in enumerate(pieces):
        for crossing in (*piece.results, *piece.params):
            if crossing.result is None and (crossing.var in lives or crossing in piece.results):
                size, first = lives.get(crossing.var, (_size(crossing.whole), number))[:2]
                lives[crossing.var] = (size, first, number)
        if piece.chunks == 1 and own[number]:
            lives[number] = (own[number], number, number)
    return memory.plan_arena([memory.Lifetime(name, *life) for name, life in lives.items()])


def _size(layout: "Layout") -> int:
    return layout.elements * np.dtype(layout.storage).itemsize


def _apart(layout: "Layout") -> int:
    """Bytes of the samples themselves."""
    return (layout.elements - (0 if layout.kind == "plain" else SLACK)) * np.dtype(layout.storage).itemsize


class _Linker:
    """Places the calls of one piece."""

    def __init__(
        self, piece: Piece, offsets: "dict[int | relax.Var, int]", params: "list[relax.Expr]", base: int, arena: int
    ) -> None:
        self._piece, self._offsets, self._params, self._base = piece, offsets, params, base
        # A lane's bytes are a multiple of the alignment, so that every lane begins on such a boundary.
        self.lane_bytes = arena

    def run(self, calls: list[KernelCall]) -> list[KernelCall]:
        before: list[KernelCall] = []
        after: list[KernelCall] = []
        inside = {("input", i): self._place(crossing, before, False) for i, crossing in enumerate(self._piece.params)}
        inside |= {("output", i): self._place(crossing, after, True) for i, crossing in enumerate(self._piece.results)}
        if self._piece.chunks > 1:
            calls = [
                replace(
                    call,
                    step=replace(
                        call.step, macs=call.step.macs * self._piece.chunks, bytes=call.step.bytes * self._piece.chunks
                    ),
                )
                for call in calls
            ]
        return [
            *before,
            *(replace(call, operands=tuple(self._moved(place, inside) for place in call.operands)) for call in calls),
            *after,
        ]

    def _moved(self, place: Place, inside: dict[tuple[str, int], Place]) -> Place:
        if place.kind == "arena":
            return Place("lane", place.offset) if self._piece.chunks > 1 else Place("arena", self._base + place.offset)
        return inside.get((place.kind, place.offset), place)

    def _place(self, crossing: Crossing, copies: list[KernelCall], leaves: bool) -> Place:
        """Where the piece finds the tensor; a copy to or from its lane is noted where a chunk is not aligned."""
        stride = 0 if crossing.layout == crossing.whole else _apart(crossing.layout)
        assert stride == 0 or stride * self._piece.chunks == _apart(crossing.whole), crossing
        if crossing.result is not None:
            outside = Place("output", crossing.result, stride)
        elif crossing.var in self._params:
            outside = Place("input", self._params.index(crossing.var), stride)
        else:
            outside = Place("arena", self._offsets[crossing.var], stride)
        if stride % memory.ALIGNMENT == 0:
            return outside
        inside = Place("lane", self.lane_bytes)
        self.lane_bytes += -(-_size(crossing.layout) // memory.ALIGNMENT) * memory.ALIGNMENT
        places = (outside, inside) if leaves else (inside, outside)
        step = Step("0:copy", "copy", "memcpy", crossing.layout.dtype, bytes=2 * stride * self._piece.chunks)
        copies.append(KernelCall("memcpy", places, step, stride))
        return inside
