"""The calls of a lowered module in which loops are marked (emit.py) -> memcpy calls and the ranges that run again and
again.

    state, slice, kernels, stack, next      ==>   state, then `steps` times: memcpy, kernels, memcpy, memcpy

A slice is read, and a stack written, a step further each time."""

from dataclasses import dataclass, replace

import tvm

from ....targets.x86.layout import SLACK
from ..watch.watch import RawCall, Storage, whole


@dataclass(frozen=True)
class Rolled:
    """Calls [first, last) run `steps` times."""

    first: int
    last: int
    steps: int


def rolled(calls: list[RawCall], mod: tvm.IRModule, sizes: dict[Storage, int]) -> tuple[list[RawCall], list[Rolled]]:
    """The calls with memcpy in place of the copies of loops, and the loops. sizes: {storage: bytes}."""
    kinds = [_note(mod, call.function, "loop") for call in calls]
    loops, first = [], 0
    found: list[RawCall] = []
    for i, (call, kind) in enumerate(zip(calls, kinds)):
        if kind == "state":
            first = i + 1
        if kind == "next" and (i + 1 == len(calls) or kinds[i + 1] != "next"):
            steps = int(_note(mod, call.function, "steps") or 0)  # The lowering notes steps beside "loop".
            loops.append(Rolled(first, i + 1, abs(steps)))
            found[first:] = [
                _copied(each, kinds[at], steps, sizes) for at, each in enumerate([*found[first:], call], first)
            ]
            first = i + 1
        else:
            found.append(call)
    return found, loops


def _note(mod: tvm.IRModule, function: str, key: str) -> str | None:
    attrs = mod[function].attrs
    return None if attrs is None or f"octet.{key}" not in attrs else str(attrs[f"octet.{key}"])


def _copied(call: RawCall, kind: str | None, steps: int, sizes: dict[tuple[str, int], int]) -> RawCall:
    if kind is None:
        return call
    if kind == "next":
        source, target, _ = call.operands
        return replace(call, operands=[target, source], results=0, copied=sizes[target] - 4 * SLACK)
    source, target = call.operands
    moved = (sizes[target] - 4 * SLACK) // (abs(steps) if kind == "stack" else 1)
    base, start = whole(target if kind == "stack" else source)
    step = ("step", base, start + (moved * (abs(steps) - 1) if steps < 0 else 0), -moved if steps < 0 else moved)
    return replace(call, operands=[step, source] if kind == "stack" else [target, step], copied=moved)
