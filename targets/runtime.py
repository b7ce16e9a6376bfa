"""A session: one compiled network, ready to run. Needs TVM's runtime library only."""

import os
import threading
import time
import weakref

import numpy as np

from . import detect
from .errors import DataError, OctetError, PackageError
from .native_library import first_line, max_threads, open_library, runtime
from .samples import batch_of, feed_of, meant, samples_of, together
from .threads import call
from .variant import WEIGHT_ALIGNMENT, Step, TensorSpec, Variant, suffix


def aligned(shape, dtype) -> np.ndarray:
    """An uninitialised array on a 64-byte boundary, as the kernels' vector loads want it."""
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    raw = np.empty(size + WEIGHT_ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % WEIGHT_ALIGNMENT
    array = raw[start : start + size].view(dtype).reshape(shape)
    if size == 0:  # compact as the kernels check it, with strides of 0
        steps = [int(np.prod(shape[axis + 1 :], dtype=np.int64)) * array.itemsize for axis in range(len(shape))]
        array = np.lib.stride_tricks.as_strided(array, shape, steps)
    return array


def tensors(arrays) -> tuple:
    """Writeable arrays on 64-byte boundaries as kernels take them; they share the arrays' memory."""
    return tuple(runtime().from_dlpack(array) for array in arrays)


_WORTH_A_LOOK = 1 << 14  # bytes of an input: less is copied faster than its address is read


def _is_ready(array: np.ndarray) -> bool:
    return array.flags.c_contiguous and array.flags.writeable and array.ctypes.data % WEIGHT_ALIGNMENT == 0  # DLPack takes no read-only array


def _refuse(spec: TensorSpec, array) -> None:
    if array.shape != tuple(spec.shape):
        raise DataError(f"run: input {spec.name} has shape {list(array.shape)}, the model takes {list(spec.shape)}; reshape it, or compile with another --batch")
    raise DataError(f"run: input {spec.name} has dtype {array.dtype}, the model takes {spec.dtype}; convert it with .astype(np.{spec.dtype})")


_live: weakref.WeakSet = weakref.WeakSet()  # sessions whose lock a fork may find taken


def _forked() -> None:
    """In the child: the thread that held a session's lock is not here."""
    for session in _live:
        session._lock = threading.Lock()


os.register_at_fork(after_in_child=_forked)


def _check_memory(variant, threads):
    """Raises PackageError for a session that this machine cannot hold: the system would end the process while its buffers are touched."""
    sizes = [spec.nbytes for spec in (*variant.inputs, *variant.outputs)]
    wanted, there = variant.arena_bytes + variant.weights.size + threads * variant.lane_bytes + sum(sizes), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if wanted > there:
        raise PackageError(f"target {variant.target}: needs {wanted / 1e9:.1f} GB of memory, this machine has {there / 1e9:.1f}; compile it with a smaller --batch")


def _closed(*arguments):
    raise OctetError("run: the session is closed; load the package again")


class Session:
    """Runs one variant. Thread-safe: runs of one session are serialised, as they share the arena. A context manager, which closes it.

    threads: cores to use; None takes all that the process may use. inputs/outputs: the signature (TensorSpec). target, steps: of the variant.
    weights: the constants as the kernels read them; whoever writes there changes what the next run computes.
    reuse_outputs: every run writes its results into the same arrays (streams of large results: fresh memory costs page faults).
    why: of a package's session, why it runs this variant.
    beside: a session of the same target for another shape of the inputs, whose code and weights this one shares.
    """

    why: str = ""

    def __init__(self, variant: Variant, threads: int | None = None, reuse_outputs: bool = False, beside: "Session | None" = None):
        absent = detect.missing(variant.features)
        if absent:
            raise PackageError(f"target {variant.target} needs CPU features that this machine lacks: {', '.join(absent)}; compile for one of `octet targets`")
        if threads is not None and threads < 1:
            raise OctetError(f"threads is {threads}; it must be 1 or more")
        self.target: str = variant.target
        self.inputs: tuple[TensorSpec, ...] = tuple(variant.inputs)
        self.outputs: tuple[TensorSpec, ...] = tuple(variant.outputs)
        self.steps: tuple[Step, ...] = tuple(variant.steps)
        self.threads: int = min(threads if threads is not None else detect.cores(), max_threads())
        self._names = frozenset(spec.name for spec in self.inputs)
        self._counted = tuple(spec for spec in self.outputs if spec.counted is not None)
        self._lock = threading.Lock()
        _live.add(self)
        self._module = open_library(variant.library) if beside is None else beside._module
        self._suffix = suffix(variant.shape)
        try:
            self._run = self._module[f"octet_run{self._suffix}"]
        except (KeyError, AttributeError) as error:
            raise PackageError(f"target {variant.target}: its library holds no octet kernels; compile it again") from error
        _check_memory(variant, self.threads)
        weights = aligned(variant.weights.shape, np.uint8) if beside is None else beside.weights
        if beside is None:
            weights[:] = variant.weights
        self.weights: np.ndarray = weights
        arena = aligned((max(variant.arena_bytes, 1),), np.uint8)
        arena[:] = 0  # pages are touched here, not in the first run
        self._tensor = runtime().from_dlpack
        self._staging = [aligned(spec.shape, spec.dtype) for spec in self.inputs]
        self._results = {spec.name: aligned(spec.shape, spec.dtype) for spec in self.outputs}
        self._loops = variant.loops
        self._watch = None if variant.words is None else (variant.words, variant.words.view(arena))
        buffers = [weights, arena]
        if variant.loops:
            buffers.append(aligned((self.threads, max(variant.lane_bytes, 1)), np.uint8))
            buffers[-1][:] = 0
        self._staged, self._fixed, self._written = (tuple(self._tensor(array) for array in arrays) for arrays in (self._staging, buffers, self._results.values()))
        self._reuse_outputs = reuse_outputs

    @property
    def batch(self) -> int:
        """Samples per run: the extent of the inputs along their batch axes."""
        return batch_of(self.inputs)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self) -> None:
        """Gives code and memory back; the session can no longer run. A session that nobody holds any more does the same."""
        with self._lock:
            self._run, self._module = _closed, {f"octet_step{self._suffix}": _closed}
            self._fixed = self._written = ()
            self.weights = np.empty(0, np.uint8)

    def run(self, inputs: dict, recompute: bool = False) -> dict:
        """One inference: arrays by input name in, new arrays by output name out. Raises DataError for wrong names, shapes or dtypes, and, compiled with --self-check,
        SelfCheckError for an answer that contradicts itself. recompute: then computes it once more and raises only if that one does, too."""
        arrays = self._checked(inputs)
        with self._lock:
            self._infer(self._arguments(arrays), recompute)
            if self._reuse_outputs:
                return self._results
            return {name: array.copy() for name, array in meant(self._counted, self._results).items()}

    def run_into(self, inputs: dict, results: tuple) -> None:
        """The same, into the caller's arrays: `tensors` of all outputs in order, each of the output's size."""
        arrays = self._checked(inputs)
        with self._lock:
            self._infer(self._arguments(arrays, results), False)

    def profile(self, inputs: dict, repeat: int = 20) -> list[tuple[Step, float]]:
        """Seconds of every kernel, the median over `repeat` whole passes, in order of execution (a Python call's 2 us included)."""
        arrays = self._checked(inputs)
        seconds = np.zeros((repeat + 1, len(self.steps)))
        with self._lock:
            self._call(self._time, self._arguments(arrays), seconds)
        return list(zip(self.steps, np.median(seconds[1:], axis=0).tolist(), strict=True))  # the first pass warms up

    def _infer(self, arguments, recompute):
        self._call(self._run, *arguments)
        if self._watch is not None:
            words, values = self._watch
            if recompute and words.failed(values):
                self._call(self._run, *arguments)
            words.verify(values)

    def _call(self, function, *arguments):
        try:
            call(self.threads, function, *arguments)
        except OctetError:
            raise
        except Exception as error:  # kernels check the buffers that they are given
            raise PackageError(f"run: the kernels of {self.target} refuse their buffers ({first_line(error)}); the package does not say what its code takes, compile it again") from error

    def _time(self, arguments, seconds):
        step = self._module[f"octet_step{self._suffix}"]
        for row in seconds:
            for index, *chunk in self._order():
                start = time.perf_counter()
                step(index, *chunk, *arguments)
                row[index] += time.perf_counter() - start

    def _order(self):
        """(step,) in the order of execution; (step, chunk) where there are loops."""
        if not self._loops:
            return [(index,) for index in range(len(self.steps))]
        order, at = [], 0
        for first, last, chunks in (*self._loops, (len(self.steps), len(self.steps), 0)):
            order += [(index, 0) for index in range(at, first)] + [(index, chunk) for chunk in range(chunks) for index in range(first, last)]
            at = last
        return order

    def _checked(self, inputs):
        if inputs.keys() != self._names:
            names = [spec.name for spec in self.inputs]
            found = ", ".join(map(str, inputs)) or "nothing"
            raise DataError(f"run: the model's inputs are {', '.join(names)}, but {found} was given; name the arrays as the model does")
        arrays = [np.asarray(inputs[spec.name]) for spec in self.inputs]
        for spec, array, staging in zip(self.inputs, arrays, self._staging, strict=True):
            if array.shape != staging.shape or array.dtype != staging.dtype:
                _refuse(spec, array)
        return arrays

    def _arguments(self, arrays, results=None):
        ready = []
        for array, staging, staged in zip(arrays, self._staging, self._staged, strict=True):
            if array.nbytes > _WORTH_A_LOOK and _is_ready(array):
                staged = self._tensor(array)
            else:
                staging[...] = array
            ready.append(staged)
        return (*self._fixed, *ready, *(self._written if results is None else results))


def run_samples(session: Session, arrays: dict, progress=None, only: str | None = None) -> dict:
    """Runs N samples (the first axis of every array; a StoredArray is read as it goes) through a session of batch B and returns the first N rows of
    every output. The last batch is filled up by repeating its last sample. progress: called with the number of samples done. only: the one output to keep."""
    batch = session.batch
    total = len(next(iter(arrays.values())))
    specs = {spec.name: spec for spec in session.outputs}
    kept: dict[str, list] = {spec.name: [] for spec in session.outputs if only in (None, spec.name)}
    for start in range(0, total, batch):
        count = min(batch, total - start)
        rows = slice(start, start + batch) if count == batch else np.minimum(np.arange(start, start + batch), total - 1)
        outputs = session.run(feed_of(session.inputs, arrays, rows))
        for name, parts in kept.items():
            parts.append(samples_of(specs[name], outputs[name], batch, count))
        if progress is not None:
            progress(count)
    return {name: together(specs[name], parts) for name, parts in kept.items()}
