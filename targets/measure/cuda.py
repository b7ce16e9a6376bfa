"""Candidates on a CUDA device: cubins through the driver, a graph of launches timed with events."""

from collections.abc import Mapping

import numpy as np

from ..cuda.backend import CudaBackend
from ..cuda.running.driver import device, driver
from ..cuda.running.loaded import Loaded
from ..errors import OctetError, TargetError
from ..variant import Launch, Step, TensorSpec, Variant
from .job import Candidate, MeasuringTask

_L2_BYTES = 38  # CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE has this number.
MOST_COPIES = 16
MOST_BYTES = 256 << 20  # The copies of a kernel's operands take no more bytes together.
_ALIGNMENT = 256


class CudaDevice:
    """The first visible device. about: its name and architecture. Raises TargetError where there is none."""

    def __init__(self) -> None:
        gpu, there = device(), driver()
        if gpu is None or there is None:
            raise TargetError("no CUDA device or no driver here; measure on a machine that has one")
        self._driver = there
        self._l2_bytes = there.integer("cuDeviceGetAttribute", _L2_BYTES, gpu.number)
        self.about = {
            "name": gpu.name,
            "multiprocessors": gpu.multiprocessors,
            "arch": gpu.arch,
            "driver": there.integer("cuDriverGetVersion"),
        }

    def use_threads(self, count: int) -> None:
        """Does nothing, as cores are of no use to a GPU."""

    def usable(self) -> bool:
        """Whether the device still answers this process."""
        try:
            self._driver.call("cuCtxSynchronize")
        except OctetError:
            return False
        return True

    def load(self, task: MeasuringTask, candidate: Candidate, blobs: Mapping[str, bytes]) -> "PlacedCandidate":
        """The candidate with its operands on the device, ready to be run."""
        return PlacedCandidate(task, candidate, blobs, self._l2_bytes)


class PlacedCandidate:
    """A candidate with its operands on the device. Every launch of a pass reads its own copy of the constants, so that
    together they do not fit into the second-level cache; activations stay there, as in a network that has just written
    them."""

    def __init__(self, task: MeasuringTask, candidate: Candidate, blobs: Mapping[str, bytes], l2_bytes: int) -> None:
        constants = [np.frombuffer(blobs[name], np.uint8) for name in candidate.constants]
        offsets = np.cumsum([0, *(-(-(part.size + 64) // _ALIGNMENT) * _ALIGNMENT for part in constants)]).tolist()
        size = offsets[-1]
        self._copies = max(1, min(MOST_COPIES, -(-5 * l2_bytes // (4 * size)), MOST_BYTES // size)) if size else 1
        block = np.zeros(size, np.uint8)
        for offset, part in zip(offsets, constants):
            block[offset : offset + part.size] = part
        zeros = [number for kind, number in candidate.operands if kind == "zero"]

        def place(copy: int, kind: str, number: int) -> tuple[str, int]:
            if kind == "constant":
                return "weights", copy * size + offsets[number]
            return ("arena", 0) if kind == "zero" else (kind, number)

        launches = tuple(
            Launch(
                candidate.function,
                candidate.grid,
                candidate.block,
                candidate.shared,
                tuple(place(copy, *operand) for operand in candidate.operands),
            )
            for copy in range(self._copies)
        )
        inputs = tuple(TensorSpec(f"input{i}", (entry.size,), "uint8") for i, entry in enumerate(task.inputs))
        outputs = (TensorSpec("output", (task.output.size,), "uint8"),)
        step = Step("candidate", "", candidate.function, "int8")
        weights = np.tile(block, self._copies) if size else np.zeros(_ALIGNMENT, np.uint8)
        variant = Variant(
            "candidate",
            blobs[candidate.code],
            weights,
            max(zeros, default=0),
            (step,) * self._copies,
            inputs,
            outputs,
            kind=CudaBackend.kind,
            launches=launches,
        )
        self._loaded = Loaded(variant)
        for staging, entry in zip(self._loaded.inputs, task.inputs, strict=True):
            staging[...] = entry.array().view(np.uint8)

    def answer(self) -> np.ndarray:
        """The output after every launch has run twice, which shows whether one leaves something behind for the next. It
        is rubbish before."""
        self._loaded.spoil_outputs()
        self._loaded.run()
        self._loaded.run()
        return self._loaded.outputs[0]

    def seconds(self, number: int) -> float:
        """Seconds of one launch, the mean over at least `number`."""
        return self._loaded.pass_seconds(-(-number // self._copies)) / self._copies

    def close(self) -> None:
        """Frees its code and its operands; nothing may be called afterwards."""
        self._loaded.close()
