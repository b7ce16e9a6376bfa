"""What rules note of the layers that they lower, so that the program can be watched.

    y = conv(x, w)    ==>    x = ..; right = weighted_sum(x)          behind the kernel that writes x, in its step
                             y, left = conv(x, w); word = compare(left, right)

    z = pool(x)       ==>    x = ..; before = byte_sum(x)             likewise
                             z = pool(x); word = compare(byte_sum(x), before)        behind the last kernel that reads x

    y = kernel(x, constants)    ==>    y = kernel(x, constants); word = compare(byte_sum(constants), what it was at
                                       compile time)        but weights that are in a layer's sums

So a bit that flips between the steps is found whether a layer multiplies it or another kernel reads it.

    y = clip(..)    ==>    y = clip(..); words = count_ends(y)        where clipped values are counted, in the step of
                                                                      the kernel that writes y
    q = quantize(input)    ==>    q = quantize(input); words = count_ends(q); words = moments(q)"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import tvm
import tvm_ffi

from ....targets.watch.health import Clip
from ....targets.watch.inputs import WatchedInput
from ....targets.watch.words import Check, Words
from ....targets.x86.checks.coefficients import LayerSum, byte_sum
from ....targets.x86.checks.counts import count_ends, moments
from ....targets.x86.checks.kernels import comparing_kernel, weighted_sum
from ....targets.x86.isa import building_for
from .counted_clips import CountedBytes

if TYPE_CHECKING:
    from tvm import relax, tirx

    from ....targets.x86.checks.coefficients import Weighted


# A storage is ("input", its number), ("buffer", its number), ("word", its number), or a part or a loop's step of one of
# these.
Storage = tuple[Any, ...]
StoredOperand: TypeAlias = Any  # An operand is a Storage, or a constant.


@dataclass(frozen=True)
class RawCall:
    """A kernel call on storages. results: how many of the operands, the last ones, it writes. joined: it belongs to the
    step of the call before it.
    copied: bytes that are copied from the second operand to the first, instead of the function."""

    function: str
    operands: list[StoredOperand]
    layer: str
    results: int = 1
    joined: bool = False
    copied: int = 0


def whole(storage: StoredOperand) -> Any:
    """(the storage that a part, or a loop's step of it, belongs to, the part's first byte)."""
    return storage[1:3] if isinstance(storage, tuple) and storage[0] in ("part", "step") else (storage, 0)


@dataclass
class Watch:
    """The checks that a watched program makes of itself, as rules note them.

    dot: of the target. sums: whether it checks itself. clips: whether clipped values are counted. layers: (function,
    layer) -> the checksums of its calls, in order. functions: the kernels that `attached` calls. checks: of their
    words, in order."""

    dot: str
    sums: bool
    clips: bool
    layers: dict[tuple[str, str], list[LayerSum]] = field(default_factory=dict)
    functions: dict[str, tvm.tirx.PrimFunc] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    # Maps (function, layer) to how the results of its calls are counted, in order.
    ends: dict[tuple[str, str], list[CountedBytes]] = field(default_factory=dict)
    counts: list[Clip] = field(default_factory=list)
    inputs: list[WatchedInput] = field(default_factory=list)
    _named: dict[tvm.tirx.PrimFunc, str] = field(default_factory=dict)
    _sizes: dict[Storage, int] = field(default_factory=dict)

    def note(self, function: str, layer: str, check: LayerSum) -> None:
        """Notes that a kernel adds up a layer's sums, to be compared with what `check` says."""
        self.layers.setdefault((function, layer), []).append(check)

    def note_ends(self, function: str, layer: str, counted: CountedBytes) -> None:
        """Notes that values at the ends of a kernel's range are to be counted."""
        self.ends.setdefault((function, layer), []).append(counted)

    def attached(self, calls: list[RawCall], sizes: dict[Storage, int], outputs: list[Storage]) -> list[RawCall]:
        """The calls with those that watch them. sizes: bytes by storage, to which new ones are added; words are
        storages ("word", number). outputs: storages that are the caller's, which nobody guards."""
        waiting = {key: list(found) for key, found in self.layers.items()}
        counting = {key: list(found) for key, found in self.ends.items()}
        writer: dict[Storage, int] = {}
        last: dict[Storage, int] = {}
        behind: list[list[RawCall]] = [[] for _ in calls]  # Calls that watch a call join its step.
        # Maps a storage to (a sum in which every byte shows, where that sum is).
        complete: dict[Storage, tuple[Any, ...]] = {}
        unguarded: set[Storage] = set()
        self._sizes = sizes
        with building_for(self.dot):
            for i, call in enumerate(calls):
                checks = waiting.get((call.function, call.layer))
                check = checks.pop(0) if checks else None
                if check is not None:
                    data, left = call.operands[0], call.operands[-1]
                    right = self._weighted(check.right, data, call.layer, behind[writer.get(whole(data)[0], 0)])
                    behind[i].append(self._compared([left], [right], check.constant, Check("sums", call.layer)))
                    if check.complete:
                        complete.setdefault(data, (check.right, right))
                self._count(call, counting, behind[i])
                for position, operand in enumerate(
                    call.operands[: len(call.operands) - call.results] if self.sums else ()
                ):
                    base = whole(operand)[0] if isinstance(operand, tuple) else None
                    if base in writer and base not in outputs:
                        last[base] = i
                        if check is None or position or not check.covered:
                            unguarded.add(base)
                constants = [operand for operand in call.operands if not isinstance(operand, tuple)]
                if self.sums:
                    self._keep(constants if check is None else constants[1:], call.layer, behind[i])
                writer.update((result, i) for result in call.operands[len(call.operands) - call.results :])
            for storage in sorted(unguarded):
                self._guard(storage, calls, writer[storage], last[storage], behind, complete.get(storage))
        return [one for call, joined in zip(calls, behind) for one in (call, *joined)]

    def words(self, at: int) -> Words:
        """What the words of a run mean. at: where the program's words begin."""
        return Words(at, tuple(self.checks), tuple(self.counts), inputs=tuple(self.inputs))

    def _count(self, call: RawCall, counting: dict[tuple[str, str], list[CountedBytes]], joined: list[RawCall]) -> None:
        waiting = counting.get((call.function, call.layer))
        if waiting:
            counted, result = waiting.pop(0), call.operands[len(call.operands) - call.results]
            place = counted.groups, counted.step, counted.period, counted.tail
            function = self._added(count_ends(*place, counted.high, counted.low))
            joined.append(RawCall(function, [result, counted.valid, ("clip", len(self.counts))], call.layer, 1, True))
            self.counts += [Clip(call.layer, end, counted.values) for end in counted.ends]
            if isinstance(call.operands[0], tuple) and call.operands[0][0] == "input":
                function = self._added(moments(*place, len(counted.parts)))
                joined.append(
                    RawCall(
                        function,
                        [result, counted.members, ("moments", sum(one.words for one in self.inputs))],
                        call.layer,
                        1,
                        True,
                    )
                )
                self.inputs.append(WatchedInput(call.layer, counted.parts))

    def _sums(self, func: "tirx.PrimFunc") -> tuple[str, int]:
        """A storage for the last argument of a kernel."""
        sums = ("buffer", len(self._sizes))
        self._sizes[sums] = 4 * int(func.params[-1].shape[0])
        return sums

    def _guard(
        self,
        storage: Storage,
        calls: list[RawCall],
        written: int,
        read: int,
        behind: list[list[RawCall]],
        known: tuple[Any, ...] | None,
    ) -> None:
        """Checks that what a kernel wrote is still there when it is read. known: a sum of all bytes of `storage` that
        is taken already."""
        plan = byte_sum(self._sizes[storage]) if known is None else known[0]
        before = known[1] if known is not None else self._weighted(plan, storage, calls[written].layer, behind[written])
        after = self._weighted(plan, storage, calls[read].layer, behind[read])
        behind[read].append(self._compared([after], [before], 0, Check("bytes", calls[written].layer)))

    def _keep(self, constants: "list[relax.Expr]", layer: str, joined: list[RawCall]) -> None:
        """Compares the bytes of a call's constants with what they are now."""
        arrays = [constant.value.numpy().reshape(-1).view(np.uint8) for constant in constants]
        kept = [(constant, array) for constant, array in zip(constants, arrays) if array.size]
        if kept:
            sums = [self._weighted(byte_sum(array.size), constant, layer, joined) for constant, array in kept]
            total = sum(int(array.sum(dtype=np.int64)) for _, array in kept)
            joined.append(
                self._compared(sums, [], (total + (1 << 31)) % (1 << 32) - (1 << 31), Check("constants", layer))
            )

    def _weighted(
        self, plan: "Weighted", data: "tuple[str, int] | relax.Expr", layer: str, joined: list[RawCall]
    ) -> tuple[str, int]:
        """The storage of a weighted sum of `data`; its call goes to `joined`."""
        func = weighted_sum(plan)
        sums = self._sums(func)
        joined.append(
            RawCall(self._added(func), [data, plan.starts, plan.offsets, plan.digits.reshape(-1), sums], layer, 1, True)
        )
        return sums

    def _compared(
        self, left: list[tuple[str, int]], right: list[tuple[str, int]], constant: int, check: Check
    ) -> RawCall:
        word = ("word", len(self.checks))
        self.checks.append(check)
        first, second = (tuple(self._sizes[sums] // 4 for sums in side) for side in (left, right))
        func = comparing_kernel(first, second, constant)
        return RawCall(self._added(func), [*left, *right, word], check.layer, 1, True)

    def _added(self, func: "tirx.PrimFunc") -> str:
        """The name of a kernel, equal ones once."""
        func = func.without_attr("global_symbol").with_attr("octet.kernel", "watch")
        name = self._named.setdefault(tvm_ffi.structural_hash(func), f"watch_{len(self.functions)}")
        assert tvm_ffi.structural_equal(self.functions.setdefault(name, func), func), "two kernels with one hash"
        return name
