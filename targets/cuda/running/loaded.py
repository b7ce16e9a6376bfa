"""A variant on a device: module, buffers in device memory, and its launches captured as graphs, so that a run is one call."""

import ctypes

import numpy as np

from ...errors import PackageError
from .driver import device, driver

_MAX_SHARED = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
_CAPTURE_THREAD_LOCAL, _STREAM_NON_BLOCKING = 1, 1


class Loaded:
    """variant: of kind "cuda". Everything belongs to the device's primary context; `enter` makes it the calling thread's.

    inputs, outputs: arrays in page-locked memory that a run reads and writes. weights are uploaded here, once."""

    def __init__(self, variant):
        self._driver, self._device = driver(), device()
        if self._driver is None or self._device is None:
            raise PackageError(f"target {variant.target} needs a CUDA device and driver, and found none; install the driver, or load the CPU variant with target=")
        self._context = self._driver.handle("cuDevicePrimaryCtxRetain", self._device.number)
        self.enter()
        self._memory, self._host = [], []
        self._module = self._driver.handle("cuModuleLoadData", ctypes.c_char_p(variant.library))
        self._functions = {launch.function: self._driver.handle("cuModuleGetFunction", self._module, launch.function.encode()) for launch in variant.launches}
        for launch in variant.launches:
            self._driver.call("cuFuncSetAttribute", self._functions[launch.function], _MAX_SHARED, launch.shared)
        self._stream = self._driver.handle("cuStreamCreate", _STREAM_NON_BLOCKING)
        weights = np.ascontiguousarray(variant.weights)
        self._bases = {"weights": self._allocate(weights.size), "arena": self._allocate(variant.arena_bytes)}
        self._copy_in(self._bases["weights"], weights)
        self._driver.call("cuMemsetD8Async", ctypes.c_uint64(self._bases["arena"]), 0, ctypes.c_size_t(max(variant.arena_bytes, 1)), self._stream)
        self.inputs, self.outputs = ([self._page_locked(spec.shape, spec.dtype) for spec in side] for side in (variant.inputs, variant.outputs))
        self._places = {"input": [self._allocate(a.nbytes) for a in self.inputs], "output": [self._allocate(a.nbytes) for a in self.outputs]}
        self._launches = [self._prepared(launch) for launch in variant.launches]
        self.wait()
        self._whole, self._kernels = self._captured(self._transfer_and_launch), self._captured(self._launch_all)

    def enter(self) -> None:
        self._driver.call("cuCtxSetCurrent", self._context)

    def run(self) -> None:
        """Inputs to the device, all kernels, outputs back; returns when the outputs are there."""
        self._driver.call("cuGraphLaunch", self._whole, self._stream)
        self.wait()

    def run_resident(self, repeat: int = 1) -> float:
        """Seconds on the device of `repeat` passes over what already lies there: kernels only, no transfers."""
        first, last = (self._driver.handle("cuEventCreate", 0) for _ in range(2))
        self._driver.call("cuEventRecord", first, self._stream)
        for _ in range(repeat):
            self._driver.call("cuGraphLaunch", self._kernels, self._stream)
        self._driver.call("cuEventRecord", last, self._stream)
        self.wait()
        found = self._seconds(first, last)
        for event in (first, last):
            self._driver.call("cuEventDestroy_v2", event)
        return found

    def spoil_outputs(self) -> None:
        """Fills the device's result buffers with rubbish: memory that was given back may hold the right answer of somebody else."""
        for address, array in zip(self._places["output"], self.outputs, strict=True):
            self._driver.call("cuMemsetD8Async", ctypes.c_uint64(address), 0x5A, ctypes.c_size_t(max(array.nbytes, 1)), self._stream)
        self.wait()

    def step_seconds(self) -> list[float]:
        """Seconds of every kernel in one pass, launched one by one."""
        events = [self._driver.handle("cuEventCreate", 0) for _ in range(len(self._launches) + 1)]
        self._transfer_in()
        self._driver.call("cuEventRecord", events[0], self._stream)
        for index, event in enumerate(events[1:]):
            self._launch(index)
            self._driver.call("cuEventRecord", event, self._stream)
        self.wait()
        found = [self._seconds(*pair) for pair in zip(events[:-1], events[1:], strict=True)]
        for event in events:
            self._driver.call("cuEventDestroy_v2", event)
        return found

    def wait(self) -> None:
        self._driver.call("cuStreamSynchronize", self._stream)

    def close(self) -> None:
        """Gives back what the driver holds; the arrays must not be used afterwards."""
        if self._context is None:
            return
        self.enter()
        for graph in (self._whole, self._kernels):
            self._driver.call("cuGraphExecDestroy", graph)
        for address in self._memory:
            self._driver.call("cuMemFree_v2", ctypes.c_uint64(address))
        for pointer in self._host:
            self._driver.call("cuMemFreeHost", pointer)
        self._driver.call("cuModuleUnload", self._module)
        self._driver.call("cuStreamDestroy_v2", self._stream)
        self._driver.call("cuDevicePrimaryCtxRelease_v2", self._device.number)
        self._context = None

    def _allocate(self, size):
        pointer = ctypes.c_uint64()
        self._driver.call("cuMemAlloc_v2", ctypes.byref(pointer), ctypes.c_size_t(size + 64))
        self._memory.append(pointer.value)
        return pointer.value

    def _page_locked(self, shape, dtype):
        count = int(np.prod(shape, dtype=np.int64))
        size = max(count * np.dtype(dtype).itemsize, 1)
        pointer = self._driver.handle("cuMemAllocHost_v2", ctypes.c_size_t(size))
        self._host.append(pointer)
        return np.frombuffer((ctypes.c_uint8 * size).from_address(pointer.value), dtype, count).reshape(shape)

    def _copy_in(self, to, array):
        self._driver.call("cuMemcpyHtoDAsync_v2", ctypes.c_uint64(to), ctypes.c_void_p(array.ctypes.data), ctypes.c_size_t(array.nbytes), self._stream)

    def _prepared(self, launch):
        """(function, grid, block, shared bytes, pointers to the operands' addresses, what keeps those alive)."""
        addresses = [self._bases[kind] + at if kind in self._bases else self._places[kind][at] for kind, at in launch.operands]
        values = [ctypes.c_uint64(address) for address in addresses]
        pointers = (ctypes.c_void_p * len(values))(*[ctypes.addressof(value) for value in values])
        return self._functions[launch.function], launch.grid, launch.block, launch.shared, pointers, values

    def _launch(self, index):
        function, grid, block, shared, pointers, _ = self._launches[index]
        self._driver.call("cuLaunchKernel", function, *grid, block, 1, 1, shared, self._stream, pointers, None)

    def _launch_all(self):
        for index in range(len(self._launches)):
            self._launch(index)

    def _transfer_in(self):
        for array, place in zip(self.inputs, self._places["input"], strict=True):
            self._copy_in(place, array)

    def _transfer_and_launch(self):
        self._transfer_in()
        self._launch_all()
        for array, place in zip(self.outputs, self._places["output"], strict=True):
            self._driver.call("cuMemcpyDtoHAsync_v2", ctypes.c_void_p(array.ctypes.data), ctypes.c_uint64(place), ctypes.c_size_t(array.nbytes), self._stream)

    def _captured(self, work):
        self._driver.call("cuStreamBeginCapture_v2", self._stream, _CAPTURE_THREAD_LOCAL)
        work()
        graph = ctypes.c_void_p()
        self._driver.call("cuStreamEndCapture", self._stream, ctypes.byref(graph))
        executable = self._driver.handle("cuGraphInstantiateWithFlags", graph, ctypes.c_ulonglong(0))
        self._driver.call("cuGraphDestroy", graph)
        return executable

    def _seconds(self, first, last):
        value = ctypes.c_float()
        self._driver.call("cuEventElapsedTime", ctypes.byref(value), first, last)
        return value.value / 1e3
