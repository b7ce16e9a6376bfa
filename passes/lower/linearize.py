"""A lowered module -> a straight program: its calls in order, their operands at places."""

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import tvm
from tvm import relax

from ...targets.errors import UnsupportedModelError
from ...targets.variant import Step
from ..constants import array_of
from . import memory
from .program import KernelCall, Loop, Place, Program, Weights
from .rolling.roll import Rolled, rolled
from .watch.watch import RawCall, StoredOperand, Watch, whole

ALIASES = ("relax.reshape", "relax.expand_dims", "relax.squeeze", "relax.flatten")
PART = "relax.memory.view"  # A view is a part of what a kernel wrote, from a byte on.
# A lowered module has the identities of the layers that its variables belong to in this attribute.
LAYERS = "octet.layers"
_LABEL = re.compile(r"layer(\d+)__\d*$")


def linearize(mod: tvm.IRModule, weights: Weights, watch: Watch | None = None) -> Program:
    """`main` (call_tir on static shapes, aliases, tuples) -> Program. Results that `main` returns are written straight
    into the outputs.
    weights: where its constants go, beside those that are there. watch: what watches it; its kernels come to those of
    `mod`."""
    calls, arena, loops = place_calls(mod, weights, watch)
    if watch is None:
        return Program(calls, weights.blob_bytes, arena, loops)
    return Program(
        calls,
        weights.blob_bytes,
        arena + -(-4 * watch.words(0).count // memory.ALIGNMENT) * memory.ALIGNMENT,
        words_at=arena,
    )


def place_calls(
    mod: tvm.IRModule, weights: Weights, watch: Watch | None = None
) -> tuple[tuple[KernelCall, ...], int, tuple[Loop, ...]]:
    """(the calls of `main`, bytes of their arena, without the words of a watched program, which lie behind it, loops of
    recurrent layers).
    Constants go to `weights`."""
    main = mod["main"]
    tensors = {
        param: ("input", i) for i, param in enumerate(main.params)
    }  # Maps a variable to its storage: ("input", i), ("buffer", id) or a constant.
    calls: list[RawCall] = []
    sizes: dict[tuple[str, int], int] = {}
    for block in main.body.blocks:
        for binding in block.bindings:
            tensors[binding.var] = _bound(binding, tensors, calls, sizes, _layer_of(binding.var, mod))
    outputs = [_storage(field, tensors) for field in _fields(main.body.body, tensors)]
    assert len(set(map(str, outputs))) == len(outputs) and all(storage in sizes for storage in outputs), (
        "every result has a kernel of its own: own_results"
    )
    place = {storage: Place("output", i) for i, storage in enumerate(outputs)}
    calls, loops = rolled(calls, mod, sizes)
    if watch is not None:
        assert not loops, "a watched network is unrolled"
        calls = watch.attached(calls, sizes, outputs)
    lives: dict[tuple[str, int], tuple[int, int]] = {}
    for i, call in enumerate(calls):
        for storage in (whole(each)[0] for each in call.operands):
            if isinstance(storage, tuple) and storage in sizes and storage not in place:
                first, _ = lives.get(storage, (i, i))
                lives[storage] = (first, i)
    collected = {
        whole(each)[0] for call in calls for each in call.operands if isinstance(each, tuple) and each[0] == "step"
    }
    lives = {storage: _through(loops, storage in collected, *life) for storage, life in lives.items()}
    offsets, arena = memory.plan_arena([memory.Lifetime(s, sizes[s], *life) for s, life in lives.items()])

    def locate(storage: StoredOperand) -> Place:
        if not isinstance(storage, tuple):
            return weights.place(storage if isinstance(storage, np.ndarray) else array_of(storage))
        if storage[0] == "input":
            return Place("input", storage[1])
        if storage[0] == "word":
            return Place("arena", arena + 4 * storage[1])
        if watch is not None and storage[0] in ("clip", "moments"):
            before = len(watch.checks) + (len(watch.counts) if storage[0] == "moments" else 0)
            return Place("arena", arena + 4 * (before + storage[1]))
        base, start = whole(storage)
        return place.get(storage) or Place("arena", offsets[base] + start, storage[3] if storage[0] == "step" else 0)

    program: list[KernelCall] = []
    steps = 0
    for i, call in enumerate(calls):
        step = program[-1].step if call.joined else _step(steps, call.function, mod, call.layer)
        times = next((loop.steps for loop in loops if loop.first <= i < loop.last), 1)
        steps += not call.joined
        step = replace(step, macs=step.macs * times, bytes=step.bytes * times)
        program.append(
            KernelCall(
                "memcpy" if call.copied else call.function,
                tuple(map(locate, call.operands)),
                step,
                call.copied,
                call.joined,
            )
        )
    return tuple(program), arena, tuple(Loop(loop.first, loop.last, loop.steps, in_order=True) for loop in loops)


def _through(loops: list[Rolled], collected: bool, first: int, last: int) -> tuple[int, int]:
    """The life of a buffer: one that the steps of a loop find there, or that collects what they make, lives as long as
    the loop."""
    for loop in loops:
        if loop.first <= last and first < loop.last and (collected or first < loop.first):
            first, last = min(first, loop.first), max(last, loop.last - 1)
    return first, last


def _bound(
    binding: relax.VarBinding,
    tensors: Mapping[relax.Expr, StoredOperand],
    calls: list[RawCall],
    sizes: dict[tuple[str, int], int],
    layer: str,
) -> StoredOperand:
    value = binding.value
    if isinstance(value, relax.Var):
        return tensors[value]
    if isinstance(value, relax.Tuple):
        return [_storage(field, tensors) for field in value.fields]
    if isinstance(value, relax.TupleGetItem):
        return tensors[value.tuple_value][value.index]
    if isinstance(value, tvm.ir.GenericConst):
        return value
    if value.op.name in ALIASES:
        return _storage(value.args[0], tensors)
    if value.op.name == PART:
        base, start = whole(_storage(value.args[0], tensors))
        return "part", base, start + int(value.args[3])
    if value.op.name != "relax.call_tir":
        operator = value.op.name.removeprefix("relax.")
        raise UnsupportedModelError(
            f"node {(layer or binding.var.name)!r}: operator {operator} has no kernel; export the network without it, "
            "and do that step outside"
        )
    results = []
    for field in value.ty.fields if isinstance(value.ty, relax.TupleType) else [value.ty]:
        storage = ("buffer", len(sizes))
        sizes[storage] = (
            int(np.prod([int(d) for d in field.shape.values], dtype=np.int64)) * np.dtype(str(field.dtype)).itemsize
        )
        results.append(storage)
    operands = [_storage(arg, tensors) for arg in value.args[1].fields]
    calls.append(RawCall(value.args[0].name_hint, operands + results, layer, len(results)))
    return results if isinstance(value.ty, relax.TupleType) else results[0]


def _storage(
    expr: relax.Expr,
    tensors: Mapping[relax.Expr, StoredOperand],
) -> StoredOperand:
    return expr if isinstance(expr, tvm.ir.GenericConst) else tensors[expr]


def _fields(result: relax.Expr, tensors: Mapping[relax.Expr, StoredOperand]) -> list[relax.Var]:
    return list(result.fields) if isinstance(result, relax.Tuple) else [result]


def label(number: int) -> str:
    """What a lowered variable is called that belongs to the layer of that number in LAYERS; a builder may put a number
    behind it."""
    return f"layer{number}__"


def _layer_of(var: relax.Var, mod: tvm.IRModule) -> str:
    """The identity of the layer that a lowered variable belongs to; "" for none."""
    found = _LABEL.match(var.name)
    return "" if found is None else str(mod.attrs[LAYERS][int(found[1])])


def _step(i: int, name: str, mod: tvm.IRModule, layer: str) -> Step:
    attrs = mod[name].attrs
    known = {key.split(".")[1]: attrs[key] for key in attrs.keys() if key.startswith("octet.")}
    return Step(
        f"{i}:{name}",
        str(known.get("operator", name)),
        str(known.get("kernel", "fallback")),
        str(known.get("dtype", "float32")),
        int(known.get("macs", 0)),
        int(known.get("bytes", 0)),
        layer,
        **{key: str(known[key]) for key in ("schedule", "source", "workload") if key in known},
    )
