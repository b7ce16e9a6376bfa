"""A compiled network run kernel by kernel, with a bit flipped in its memory on the way, as a debugger would."""

import ctypes
from unittest import mock

import numpy as np

from octet.passes.lower import linearize
from octet.targets.native.library import Library
from octet.targets.runtime import addresses, aligned
from octet.targets.x86.tiles import TILE_BYTES, TILE_ROWS, tile_config


class Placed:
    """Where the last watched network that is compiled inside `with Placed() as placed` has what its layers add up.
    left: (step, first byte in the arena, bytes) of each. No two buffers share memory, so that what was added up is
    still there behind its step. addresses: (first byte, bytes) in the weights of tables that say where kernels without
    VNNI read; a wrong one may end the process, as a wrong pointer does."""

    def __enter__(self):
        self.left, self.addresses = [], []
        place_calls = linearize.place_calls

        def placing(mod, weights, watch=None):
            calls, arena, loops = place_calls(mod, weights, watch)
            if watch is not None:
                self.left = list(_left_sides(calls, watch))
                listed = [call for call in calls if call.step.kernel == "listed" and not call.joined]
                self.addresses = [
                    (call.operands[2].offset, 4 * int(mod[call.function].params[2].shape[0])) for call in listed
                ]
            return calls, arena, loops

        self._patches = [
            mock.patch.object(linearize, "place_calls", placing),
            mock.patch.object(linearize.memory, "plan_arena", _apart),
        ]
        for patch in self._patches:
            patch.start()
        return self

    def __exit__(self, *error):
        for patch in self._patches:
            patch.stop()


def _left_sides(calls, watch):
    step, words = -1, 0
    for call in calls:
        step += not call.joined
        func = watch.functions.get(call.function)
        if func is not None and [int(extent) for extent in func.params[-1].shape] == [1]:  # It compares.
            if watch.checks[(call.operands[-1].offset - _first_word(calls, watch)) // 4].kind == "sums":
                yield step, call.operands[0].offset, 4 * int(func.params[0].shape[0])
            words += 1
    assert words == len(watch.checks)


def _first_word(calls, watch):
    return min(
        call.operands[-1].offset
        for call in calls
        if call.function in watch.functions and int(watch.functions[call.function].params[-1].shape[0]) == 1
    )


def _apart(buffers):
    offsets, size = {}, 0
    for buffer in buffers:
        offsets[buffer.name] = size
        size += -(-buffer.size // 64) * 64
    return offsets, size


class Stepwise:
    """One variant with memory of its own. weights, arena: uint8, as its kernels see them. words: what it noted in the
    last run."""

    def __init__(self, variant, inputs):
        self.variant, self._library = variant, Library(variant.library, variant.target)
        self.weights = aligned(variant.weights.shape, np.uint8)
        self.weights[:] = variant.weights
        self._stream = self._library.open(variant.shape, *addresses([self.weights]), 1)
        self.arena = self._library.arena(self._stream, variant.arena_bytes)
        arrays = [aligned(spec.shape, spec.dtype) for spec in variant.inputs]
        for spec, array in zip(variant.inputs, arrays, strict=True):
            array[...] = inputs[spec.name]
        self.results = [aligned(spec.shape, spec.dtype) for spec in variant.outputs]
        self._tensors = [*arrays, *self.results]
        self._arguments = (ctypes.c_void_p * len(self._tensors))(*addresses(self._tensors))
        self.words = variant.words.view(self.arena)

    def run(self, left, before=None, do=None) -> list[bytes]:
        """What the layers add up (`Placed.left`), and the answers. The arena begins as zeros. do: called in front of
        step `before`."""
        seen = []
        self.arena[:] = 0
        for index in range(len(self.variant.steps)):
            if index == before:
                do()
            self._library.step(self._stream, index, 0, self._arguments)
            seen += [self.arena[first : first + size].tobytes() for at, first, size in left if at == index]
        return seen + [array.tobytes() for array in self.results]


def steering(variant, placed: Placed) -> np.ndarray:
    """bool [bytes of the weights]: those that say where and how kernels read, not what they multiply: tables of
    addresses, and shapes of AMX's tiles, which the processor refuses where they are wrong (a signal, SIGSEGV)."""
    found = np.zeros(variant.weights.size, bool)
    for first, size in placed.addresses:
        found[first : first + size] = True
    lines = variant.weights[: variant.weights.size // TILE_BYTES * TILE_BYTES].reshape(-1, TILE_BYTES)
    shapes = [tile_config(rows) for rows in range(1, TILE_ROWS + 1)]
    found[: lines.size] |= np.repeat([any((line == shape).all() for shape in shapes) for line in lines], TILE_BYTES)
    return found


def flip(memory, byte, bit):
    memory[byte] ^= np.uint8(1 << bit)


def campaign(stepwise: Stepwise, placed: Placed, flips: int, seed: int) -> dict:
    """Flips one random bit per run, of the weights or, between two steps, of the arena. Counts: flips, `caught`,
    `harmless` (no sum of any layer and no answer changed), `missed` (neither)."""
    random, left, steers = np.random.default_rng(seed), placed.left, steering(stepwise.variant, placed)
    clean, found = stepwise.run(left), {"flips": 0, "caught": 0, "harmless": 0, "missed": 0}
    assert not stepwise.words.any(), "an alarm without a fault"
    for _ in range(flips):
        memory = stepwise.weights if random.random() < 0.5 else stepwise.arena
        byte, bit, before = (
            int(random.integers(memory.size)),
            int(random.integers(8)),
            int(random.integers(len(stepwise.variant.steps))),
        )
        if memory is stepwise.weights and steers[byte]:
            continue
        found["flips"] += 1
        seen = stepwise.run(left, before, lambda: flip(memory, byte, bit))
        if memory is stepwise.weights:
            flip(memory, byte, bit)
        kind = "caught" if stepwise.words.any() else "harmless" if seen == clean else "missed"
        found[kind] += 1
        if kind == "missed":
            found["example"] = (
                "weights" if memory is stepwise.weights else "arena",
                byte,
                bit,
                before,
                [i for i, (a, b) in enumerate(zip(seen, clean)) if a != b],
            )
    return found
