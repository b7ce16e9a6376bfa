"""A variant on a device: module, buffers in device memory, and its launches captured as graphs, so that a run is one
call."""

import ctypes
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import PackageError
from . import needs
from .driver import device, driver
from .launch_graph import Marks, captured

if TYPE_CHECKING:
    from ...variant import Launch, Variant


_MAX_SHARED = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES has this number.
_STREAM_NON_BLOCKING = 1
LEAST_LAUNCHES = 20  # A graph that is timed is long, so that the pause between two graphs counts for little.


class Loaded:
    """A variant in the memory of a device, ready to run. variant: of kind "cuda". Everything belongs to the device's
    primary context; `enter` makes it the calling thread's.

    inputs, outputs: arrays in page-locked memory that a run reads and writes. weights are uploaded here, once. What
    cannot be loaded gives back what it holds."""

    def __init__(self, variant: "Variant") -> None:
        found, card = driver(), device()
        if found is None or card is None:
            raise PackageError(
                f"target {variant.target} needs a CUDA device and driver, and found none; install the driver, or load "
                "the CPU variant with target="
            )
        self._driver, self._device = found, card
        needs.check_driver(variant.target, needs.needs_of(variant.library), card, found.integer("cuDriverGetVersion"))
        with ExitStack() as held:
            self._held = held
            self._open(variant)
            self._held = held.pop_all()

    def _open(self, variant: "Variant") -> None:
        self._context: ctypes.c_void_p | None = self._driver.handle("cuDevicePrimaryCtxRetain", self._device.number)
        self._hold("cuDevicePrimaryCtxRelease_v2", self._device.number)
        self.enter()
        self._module = self._driver.handle("cuModuleLoadData", ctypes.c_char_p(variant.library))
        self._hold("cuModuleUnload", self._module)
        self._functions = {
            launch.function: self._driver.handle("cuModuleGetFunction", self._module, launch.function.encode())
            for launch in variant.launches
        }
        for launch in variant.launches:
            self._driver.call("cuFuncSetAttribute", self._functions[launch.function], _MAX_SHARED, launch.shared)
        self._stream = self._driver.handle("cuStreamCreate", _STREAM_NON_BLOCKING)
        self._hold("cuStreamDestroy_v2", self._stream)
        weights = np.ascontiguousarray(variant.weights)
        self._bases = {"weights": self._allocate(weights.size), "arena": self._allocate(variant.arena_bytes)}
        self._copy_in(self._bases["weights"], weights)
        self._driver.call(
            "cuMemsetD8Async",
            ctypes.c_uint64(self._bases["arena"]),
            0,
            ctypes.c_size_t(max(variant.arena_bytes, 1)),
            self._stream,
        )
        self.inputs, self.outputs = (
            [self._page_locked(spec.shape, spec.dtype) for spec in side] for side in (variant.inputs, variant.outputs)
        )
        self._places = {
            "input": [self._allocate(a.nbytes) for a in self.inputs],
            "output": [self._allocate(a.nbytes) for a in self.outputs],
        }
        self._launches = [self._prepared(launch) for launch in variant.launches]
        self.wait()
        self._whole = self._captured(self._transfer_and_launch)
        self._kernels: ctypes.c_void_p | None = None
        self._steps: tuple[ctypes.c_void_p, Marks] | None = None

    def enter(self) -> None:
        """Makes the device's context that of the calling thread."""
        self._driver.call("cuCtxSetCurrent", self._context)

    def run(self) -> None:
        """Inputs to the device, all kernels, outputs back; returns when the outputs are there."""
        self._driver.call("cuGraphLaunch", self._whole, self._stream)
        self.wait()

    def pass_seconds(self, least: int = 1) -> float:
        """Seconds on the device of one pass over what already lies there, kernels only: the mean over `least` passes or
        a few more."""
        together = -(-LEAST_LAUNCHES // len(self._launches))

        def passes() -> None:
            for _ in range(together):
                self._launch_all()

        if self._kernels is None:
            self._kernels = self._captured(passes)
        marks, graphs = Marks(self._driver, 2), -(-least // together)
        try:
            marks.record(0, self._stream)
            for _ in range(graphs):
                self._driver.call("cuGraphLaunch", self._kernels, self._stream)
            marks.record(1, self._stream)
            self.wait()
            return marks.seconds()[0] / (graphs * together)
        finally:
            marks.close()

    def spoil_outputs(self) -> None:
        """Fills the device's result buffers with rubbish: memory that was given back may hold the right answer of
        somebody else."""
        for address, array in zip(self._places["output"], self.outputs, strict=True):
            self._driver.call(
                "cuMemsetD8Async", ctypes.c_uint64(address), 0x5A, ctypes.c_size_t(max(array.nbytes, 1)), self._stream
            )
        self.wait()

    def step_seconds(self) -> list[float]:
        """Seconds of every kernel, the pause to the next one included: each is launched many times in a row, between
        two marks of one graph.
        A launch writes none of what it reads, so that the last one leaves what the first one did."""
        if self._steps is None:
            marks = Marks(self._driver, len(self._launches) + 1)
            self._held.callback(marks.close)
            self._steps = self._captured(lambda: self._launch_marked(marks)), marks
        graph, marks = self._steps
        self._transfer_in()
        self._driver.call("cuGraphLaunch", graph, self._stream)
        self.wait()
        return [seconds / LEAST_LAUNCHES for seconds in marks.seconds()]

    def wait(self) -> None:
        """Waits until the stream has done what it was given."""
        self._driver.call("cuStreamSynchronize", self._stream)

    def close(self) -> None:
        """Gives back what the driver holds; the arrays must not be used afterwards."""
        if self._context is not None:
            self.enter()
            self._held.close()
            self._context = None

    def _hold(self, name: str, *arguments: object) -> None:
        """What `close` will call, the last first."""
        self._held.callback(self._driver.release, name, *arguments)

    def _allocate(self, size: int) -> int:
        pointer = ctypes.c_uint64()
        self._driver.call("cuMemAlloc_v2", ctypes.byref(pointer), ctypes.c_size_t(size + 64))
        self._hold("cuMemFree_v2", ctypes.c_uint64(pointer.value))
        return pointer.value

    def _page_locked(self, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        count = int(np.prod(shape, dtype=np.int64))
        size = max(count * np.dtype(dtype).itemsize, 1)
        pointer = self._driver.handle("cuMemAllocHost_v2", ctypes.c_size_t(size))
        self._hold("cuMemFreeHost", pointer)
        assert pointer.value is not None
        memory: Any = (ctypes.c_uint8 * size).from_address(pointer.value)
        return np.frombuffer(memory, dtype, count).reshape(shape)

    def _copy_in(self, to: int, array: np.ndarray) -> None:
        self._driver.call(
            "cuMemcpyHtoDAsync_v2",
            ctypes.c_uint64(to),
            ctypes.c_void_p(array.ctypes.data),
            ctypes.c_size_t(array.nbytes),
            self._stream,
        )

    def _prepared(
        self, launch: "Launch"
    ) -> "tuple[ctypes.c_void_p, tuple[int, int, int], int, int, ctypes.Array[ctypes.c_void_p], list[ctypes.c_uint64]]":
        """(function, grid, block, shared bytes, pointers to the operands' addresses, what keeps those alive)."""
        addresses = [
            self._bases[kind] + at if kind in self._bases else self._places[kind][at] for kind, at in launch.operands
        ]
        values = [ctypes.c_uint64(address) for address in addresses]
        pointers = (ctypes.c_void_p * len(values))(*[ctypes.addressof(value) for value in values])
        return self._functions[launch.function], launch.grid, launch.block, launch.shared, pointers, values

    def _launch(self, index: int) -> None:
        function, grid, block, shared, pointers, _ = self._launches[index]
        self._driver.call("cuLaunchKernel", function, *grid, block, 1, 1, shared, self._stream, pointers, None)

    def _launch_all(self) -> None:
        for index in range(len(self._launches)):
            self._launch(index)

    def _transfer_in(self) -> None:
        for array, place in zip(self.inputs, self._places["input"], strict=True):
            self._copy_in(place, array)

    def _transfer_and_launch(self) -> None:
        self._transfer_in()
        self._launch_all()
        for array, place in zip(self.outputs, self._places["output"], strict=True):
            self._driver.call(
                "cuMemcpyDtoHAsync_v2",
                ctypes.c_void_p(array.ctypes.data),
                ctypes.c_uint64(place),
                ctypes.c_size_t(array.nbytes),
                self._stream,
            )

    def _launch_marked(self, marks: Marks) -> None:
        for index in range(len(self._launches)):
            marks.record(index, self._stream, in_graph=True)
            for _ in range(LEAST_LAUNCHES):
                self._launch(index)
        marks.record(len(self._launches), self._stream, in_graph=True)

    def _captured(self, work: Callable[[], None]) -> ctypes.c_void_p:
        graph = captured(self._driver, self._stream, work)
        self._hold("cuGraphExecDestroy", graph)
        return graph
