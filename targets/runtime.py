"""A session: one compiled network, ready to run. Needs NumPy only: threads and memory are those of the library's own
runtime (native/)."""

import os
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from . import detect
from .batches import Arrays, Results, batch_of, meant
from .errors import OctetError, PackageError
from .native.given_inputs import GivenInputs
from .native.interface import interface_of
from .native.library import Library
from .native.stream import Stream, addresses, aligned, is_ready
from .native.streams import Streams
from .variant import Step, TensorSpec, Variant
from .watch.health import Health

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor
    from ctypes import c_void_p


def _check_memory(variant: Variant, threads: int, streams: int) -> None:
    """Raises PackageError for a session that this machine cannot hold: the system would end the process while its
    buffers are touched."""
    sizes = [spec.nbytes for spec in (*variant.inputs, *variant.outputs)]
    wanted, there = (
        variant.weights.size + streams * (variant.arena_bytes + threads * variant.lane_bytes + sum(sizes)),
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    )
    if wanted > there:
        raise PackageError(
            f"target {variant.target}: needs {wanted / 1e9:.1f} GB of memory, this machine has {there / 1e9:.1f}; "
            "compile it with a smaller --batch"
        )


def _end(library: Library, handles: "list[c_void_p]") -> None:
    for handle in handles:
        library.close(handle)


class Session:
    """Runs one variant. A context manager, which closes it. Calls from several threads run side by side on a stream
    each, as many as there are; others wait for one.

    threads: cores that one run uses; None takes what the process has, divided by streams. streams: most runs at one
    time, each with its own memory and threads on the same weights, made when they are needed; None takes as many as the
    cores carry. pin: keeps the threads beside the calling one on cores of their own.
    inputs/outputs: the signature (TensorSpec). target, steps: of the variant.
    weights: the constants as the kernels read them, where aligned the variant's own; a write changes the next run.
    reuse_outputs: every run writes its results into the same arrays (large results: fresh memory costs page faults);
    there is one stream then.
    why: of a package's session, why it runs this variant.
    beside: a session of the same target for another shape of the inputs, whose code and weights this one shares.
    """

    why: str = ""
    _library: Library
    # The threads of `run_async` are kept beside the number of the process that started them.
    _executor: "tuple[int, ThreadPoolExecutor] | None" = None

    def __init__(
        self,
        variant: Variant,
        threads: int | None = None,
        reuse_outputs: bool = False,
        streams: int | None = None,
        pin: bool = False,
        beside: "Session | None" = None,
    ) -> None:
        absent = detect.missing(variant.features)
        if absent:
            raise PackageError(
                f"target {variant.target} needs CPU features that this machine lacks: {', '.join(absent)}; compile "
                "for one of `octet targets`"
            )
        for name, given in (("threads", threads), ("streams", streams)):
            if given is not None and given < 1:
                raise OctetError(f"{name} is {given}; it must be 1 or more")
        if reuse_outputs and streams not in (None, 1):
            raise OctetError(
                f"streams is {streams}; with reuse_outputs there is one, as all runs write into the same arrays"
            )
        cores = detect.cores()
        self.threads: int = min(threads, cores) if threads is not None else max(1, cores // (streams or 1))
        most = 1 if reuse_outputs else streams or max(1, cores // self.threads)
        self._describe(variant)
        _check_memory(variant, self.threads, most)
        library = Library(variant.library, variant.target) if beside is None else beside._library
        if variant.shape >= len(library.signatures):
            raise PackageError(
                f"target {variant.target}: its library holds no octet kernels for shape {variant.shape}; compile it "
                "again"
            )
        if library.signatures[variant.shape] != interface_of(variant).signature:
            raise PackageError(
                f"target {variant.target}: the package does not say what its code takes "
                f"({'; '.join(library.signatures)[:200]}); compile it again"
            )
        weights = beside.weights if beside is not None else variant.weights
        if not is_ready(weights):
            weights = aligned(weights.shape, np.uint8)
            weights[:] = variant.weights
        self.weights: np.ndarray = weights
        self._library, self._loops, self._words, self._reuse_outputs = (
            library,
            variant.loops,
            variant.words,
            reuse_outputs,
        )
        inputs, outputs, threads, shape, size, (address,) = (
            self.inputs,
            self.outputs,
            self.threads,
            variant.shape,
            variant.arena_bytes,
            addresses((weights,)),
        )
        handles: list[c_void_p] = []
        self._end = weakref.finalize(self, _end, library, handles)
        self._end.atexit = False  # A thread of the process may still be running kernels when the interpreter ends.

        def make(number: int) -> Stream:
            handles.append(library.open(shape, address, threads, detect.beside(number, threads) if pin else None))
            return Stream(handles[-1], library.arena(handles[-1], size), inputs, outputs)

        self._streams = Streams(make, most)
        self._streams.give(self._streams.take())  # A stream's pages are touched here, not in the first run.

    def _describe(self, variant: Variant) -> None:
        self.target: str = variant.target
        self.inputs: tuple[TensorSpec, ...] = tuple(variant.inputs)
        self.outputs: tuple[TensorSpec, ...] = tuple(variant.outputs)
        self.steps: tuple[Step, ...] = tuple(variant.steps)
        self._counted = tuple(spec for spec in self.outputs if spec.counted is not None)
        self._given = GivenInputs(self.inputs)

    @property
    def batch(self) -> int:
        """Samples per run: the extent of the inputs along their batch axes."""
        return batch_of(self.inputs)

    @property
    def streams(self) -> int:
        """How many runs there may be at one time."""
        return self._streams.most

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives code and memory back, when the runs that are at work are done; the session can no longer run. A session
        that nobody holds any more does the same."""
        if self._executor is not None and self._executor[0] == os.getpid():
            self._executor[1].shutdown()
        self._streams.close()
        self._end()
        self._library = None  # type: ignore[assignment] # nothing runs any more
        self.weights = np.empty(0, np.uint8)

    @overload
    def run(self, inputs: Arrays, recompute: bool = False, health: Literal[False] = False) -> Results: ...

    @overload
    def run(self, inputs: Arrays, recompute: bool = False, *, health: Literal[True]) -> tuple[Results, Health]: ...

    @overload
    def run(self, inputs: Arrays, recompute: bool, health: bool) -> Results | tuple[Results, Health]: ...

    def run(self, inputs: Arrays, recompute: bool = False, health: bool = False) -> Any:
        """One inference: arrays by input name in, new arrays by output name out. Raises DataError for wrong names,
        shapes or dtypes, and, compiled with --self-check, SelfCheckError for an answer that contradicts itself.
        recompute: then computes it once more and raises only if that one does, too.
        health: of a package compiled with --count-clips: (outputs, Health of this answer)."""
        if health and (self._words is None or not self._words.clips):
            raise OctetError(
                "run: health is counted by packages compiled with --count-clips; compile it so, or leave health out"
            )
        arrays = self._given.arrays(inputs)
        lease = self._streams.take()
        try:  # This is `with` written out for its speed: other threads wait for what is done here.
            stream = lease.stream
            stream.stage(arrays)
            self._infer(stream, recompute)
            results = (
                stream.results
                if self._reuse_outputs
                else {name: array.copy() for name, array in meant(self._counted, stream.results).items()}
            )
            return (
                (results, self._words.health(self._words.view(stream.arena)))
                if health and self._words is not None
                else results
            )
        finally:
            self._streams.give(lease)

    def run_many(self, inputs: Arrays, streams: int | None = None) -> Results:
        """As many samples as there are: arrays [samples, ...] by input name in, new arrays [samples, ...] by output
        name out. The streams, or so many of them, share the runs out without Python in between, which networks of some
        microseconds spend most of their time in. Raises what `run` raises, and no answer then."""
        from .native.many import Runs

        if streams is not None and streams < 1:
            raise OctetError(f"streams is {streams}; it must be 1 or more")
        self._given.check_names(inputs)
        runs = Runs(self.inputs, self.outputs, inputs)
        looked_at = self._words is not None and self._words.checks or not self._library.shares
        work = (
            runs.one_by_one(lambda stream: self._infer(stream, False))
            if looked_at
            else runs.shared(self._library.share)
        )
        others = [
            self._threads().submit(self._on_a_stream, work)
            for _ in range(min(streams or self.streams, self.streams, runs.count) - 1)
        ]
        try:
            self._on_a_stream(work)
        finally:
            runs.end()  # After an exception the others stop, too: their arrays are about to go.
            failures = [error for other in others if not other.cancel() and (error := other.exception()) is not None]
        if failures:
            raise failures[0]
        return runs.results()

    def _on_a_stream(self, work: Callable[[Stream], None]) -> None:
        with self._streams.take() as stream:
            work(stream)

    async def run_async(
        self, inputs: Arrays, recompute: bool = False, health: bool = False
    ) -> Results | tuple[Results, Health]:
        """`run`, awaited: the event loop goes on meanwhile. As many at one time as there are streams."""
        import asyncio

        return await asyncio.get_running_loop().run_in_executor(
            self._threads(), lambda: self.run(inputs, recompute, health)
        )

    def _threads(self) -> Any:
        """One per stream. A forked process has none of its parent's."""
        from concurrent.futures import ThreadPoolExecutor

        if self._executor is None or self._executor[0] != os.getpid():
            self._executor = os.getpid(), ThreadPoolExecutor(self.streams, "octet-run")
        return self._executor[1]

    def run_into(self, inputs: Arrays, results: tuple[int, ...]) -> None:
        """The same, into the caller's memory: `addresses` of arrays for all outputs in order, each of the output's
        size."""
        arrays = self._given.arrays(inputs)
        first = len(arrays)
        with self._streams.take() as stream:
            try:
                stream.stage(arrays)
                stream.tensors[first:] = results
                self._infer(stream, False)
            finally:
                stream.tensors[first:] = stream.places[first:]

    def profile(self, inputs: Arrays, repeat: int = 20) -> list[tuple[Step, float]]:
        """Seconds of every kernel, the median over `repeat` whole passes, in order of execution (a Python call is
        included)."""
        arrays = self._given.arrays(inputs)
        seconds = np.zeros((repeat + 1, len(self.steps)))
        with self._streams.take() as stream:
            stream.stage(arrays)
            for row in seconds:
                for index, chunk in self._order():
                    start = time.perf_counter()
                    self._library.step(stream.handle, index, chunk, stream.tensors)
                    row[index] += time.perf_counter() - start
        return list(zip(self.steps, np.median(seconds[1:], axis=0).tolist(), strict=True))  # The first pass warms up.

    def _infer(self, stream: Stream, recompute: bool) -> None:
        self._library.run(stream.handle, stream.tensors)
        if self._words is not None and self._words.checks:
            values = self._words.view(stream.arena)
            if recompute and self._words.failed(values):
                self._library.run(stream.handle, stream.tensors)
            self._words.verify(values)

    def _order(self) -> list[tuple[int, int]]:
        """(step, chunk) in the order of execution; chunk is 0 outside loops."""
        order, at = [], 0
        for first, last, chunks in (*self._loops, (len(self.steps), len(self.steps), 0)):
            order += [(index, 0) for index in range(at, first)]
            order += [(index, chunk) for chunk in range(chunks) for index in range(first, last)]
            at = last
        return order
