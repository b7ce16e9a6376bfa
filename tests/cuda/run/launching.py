"""A case on the device: every storage an allocation of its own, so that an access outside of it is seen, by memcheck at
the latest."""

import ctypes

import numpy as np

from octet.targets.cuda.running.driver import device, driver
from octet.targets.cuda.running.launch_graph import Marks, captured

_MAX_SHARED = 8  # CUDA calls it CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES.
_NON_BLOCKING = 1
_SLACK = 16  # Kernels may read so many bytes behind a buffer (targets/cuda/layout.py).
RUBBISH = 0x5A


class Module:
    """code: a fatbin, machine code, or PTX with a zero byte behind it."""

    def __init__(self, code: bytes):
        self.driver = driver()
        context = self.driver.handle("cuDevicePrimaryCtxRetain", device().number)
        self.driver.call("cuCtxSetCurrent", context)
        self._module = self.driver.handle("cuModuleLoadData", ctypes.c_char_p(code))
        self.stream = self.driver.handle("cuStreamCreate", _NON_BLOCKING)
        self._functions = {}

    def function(self, name: str, shared: int):
        if name not in self._functions:
            self._functions[name] = self.driver.handle("cuModuleGetFunction", self._module, name.encode())
        self.driver.call("cuFuncSetAttribute", self._functions[name], _MAX_SHARED, shared)
        return self._functions[name]

    def wait(self) -> None:
        self.driver.call("cuStreamSynchronize", self.stream)

    def close(self) -> None:
        self.driver.release("cuStreamDestroy_v2", self.stream)
        self.driver.release("cuModuleUnload", self._module)


class Storage:
    """Device memory with the bytes of an array, or so many bytes of one value."""

    def __init__(self, module: Module, content, value: int = RUBBISH):
        self._module, self.bytes = module, content if isinstance(content, int) else content.nbytes
        pointer = ctypes.c_uint64()
        module.driver.call("cuMemAlloc_v2", ctypes.byref(pointer), ctypes.c_size_t(self.bytes + _SLACK))
        self.address = pointer.value
        if isinstance(content, int):
            self.fill(value)
        else:
            self._kept = np.ascontiguousarray(content)  # It must live until the copy is over.
            module.driver.call(
                "cuMemcpyHtoDAsync_v2",
                ctypes.c_uint64(self.address),
                ctypes.c_void_p(self._kept.ctypes.data),
                ctypes.c_size_t(self.bytes),
                module.stream,
            )
            module.wait()

    def fill(self, value: int) -> None:
        self._module.driver.call(
            "cuMemsetD8Async",
            ctypes.c_uint64(self.address),
            value,
            ctypes.c_size_t(max(self.bytes, 1)),
            self._module.stream,
        )

    def read(self) -> np.ndarray:
        found = np.empty(max(self.bytes, 1), np.uint8)
        self._module.driver.call(
            "cuMemcpyDtoHAsync_v2",
            ctypes.c_void_p(found.ctypes.data),
            ctypes.c_uint64(self.address),
            ctypes.c_size_t(found.nbytes),
            self._module.stream,
        )
        self._module.wait()
        return found[: self.bytes]

    def close(self) -> None:
        self._module.driver.release("cuMemFree_v2", ctypes.c_uint64(self.address))


class Loaded:
    """A case in device memory."""

    def __init__(self, module: Module, case):
        self._module, self._case = module, case
        self._storages = [
            Storage(module, content, 0 if i in case.zeros else RUBBISH) for i, content in enumerate(case.contents)
        ]
        self._calls = [self._prepared(step) for step in case.steps]

    def launch(self) -> None:
        for function, step, pointers, _ in self._calls:
            self._module.driver.call(
                "cuLaunchKernel",
                function,
                *step.grid,
                step.block,
                1,
                1,
                step.shared,
                self._module.stream,
                pointers,
                None,
            )

    def differences(self) -> str:
        """After a launch: in words, nothing where every byte is right and what must be zero again is zero."""
        self._module.wait()
        found = [text for e in self._case.expected if (text := e.differences(self._storages[e.storage].read()))]
        found += ["state is not zero again" for i in self._case.zeros if self._storages[i].read().any()]
        return "; ".join(found)

    def twice(self) -> str:
        """Differences after a first launch, and after a second, which finds what the first one left."""
        self.launch()
        first = self.differences()
        for e in self._case.expected:
            self._storages[e.storage].fill(RUBBISH)
        self.launch()
        second = self.differences()
        return f"first: {first}" if first else f"second: {second}" if second else ""

    def seconds(self, launches: int, rounds: int = 5) -> float:
        """Of one launch of all steps: the least mean of a graph of so many, between two events."""
        graph = captured(self._module.driver, self._module.stream, lambda: [self.launch() for _ in range(launches)])
        marks, found = Marks(self._module.driver, 2), []
        for _ in range(rounds + 1):
            marks.record(0, self._module.stream)
            self._module.driver.call("cuGraphLaunch", graph, self._module.stream)
            marks.record(1, self._module.stream)
            self._module.wait()
            found.append(marks.seconds()[0] / launches)
        marks.close()
        self._module.driver.release("cuGraphExecDestroy", graph)
        return min(found[1:])

    def close(self) -> None:
        for storage in self._storages:
            storage.close()

    def _prepared(self, step):
        values = [ctypes.c_uint64(self._storages[number].address + start) for number, start in step.operands]
        pointers = (ctypes.c_void_p * len(values))(*[ctypes.addressof(value) for value in values])
        return self._module.function(step.function, step.shared), step, pointers, values
