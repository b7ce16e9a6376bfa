"""The protocol of a kind of workload: all that the tuning machinery asks about a kernel."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import tvm

from ...targets.measure.job import Input, Output, digest, dtype_of
from ...targets.spec import TargetSpec
from ..spaces.space import Space


@dataclass(frozen=True)
class Case:
    """Operands of a CPU kernel, and what NumPy says it must answer.

    inputs: flat buffers as the kernel takes them, slack included. constants: logical arrays that the kernel packs.
    expected: [rows, used]: what counts of the output, as stored. pitch: elements from one row to the next. elements: of
    the output buffer. made: the inputs as another machine can make them; empty where it cannot.
    tolerance: None where every byte counts; else how much a float32 may differ, as sums may be made in any order."""

    inputs: tuple[np.ndarray, ...]
    constants: dict[str, np.ndarray]
    expected: np.ndarray
    pitch: int
    elements: int
    made: tuple[Input, ...] = ()
    tolerance: float | None = None

    @property
    def storage(self) -> str:
        """dtype of the output buffer."""
        return str(self.expected.dtype)

    @property
    def travels(self) -> bool:
        """Whether another machine can make the operands for itself and the referee's bytes are the kernel's: of float32
        neither is true."""
        return bool(self.made)

    @property
    def moved(self) -> int:
        """Bytes that any kernel reads and writes once."""
        return sum(array.nbytes for array in (*self.inputs, *self.constants.values(), self.expected))

    def agrees(self, flat: np.ndarray) -> bool:
        """Whether an output buffer holds what the referee says."""
        rows, used = self.expected.shape
        found = flat[: rows * self.pitch].reshape(rows, self.pitch)[:, :used]
        if self.tolerance is not None:
            return bool(np.allclose(found, self.expected, rtol=0, atol=self.tolerance))
        return np.ascontiguousarray(found).tobytes() == self.expected.tobytes()

    @property
    def output(self) -> Output:
        """What the output must be, for a machine that has the digest of its bytes only."""
        assert self.made and self.tolerance is None, "these operands do not travel"
        size, (rows, used) = self.expected.itemsize, self.expected.shape
        return Output(
            self.elements * size, dtype_of(self.storage), rows, self.pitch * size, used * size, digest(self.expected)
        )


@dataclass(frozen=True)
class Kernel:
    """A kernel's function with the arguments that it is called with.

    family, schedule: as built. operands: the arguments of `func` in order: ("input", number), ("constant", number),
    ("output", 0) or ("workspace", 0), which has `workspace` bytes."""

    func: tvm.tirx.PrimFunc
    family: str
    schedule: object
    constants: tuple[np.ndarray, ...]
    operands: tuple[tuple[str, int], ...]
    workspace: int = 0


Subject = TypeVar("Subject")  # The functions of a kind are about a problem, or a workload.
Operands = TypeVar("Operands")  # Operands are a Case, or what stands for it at targets with a builder of their own.


@dataclass(frozen=True)
class Kind(Generic[Subject, Operands]):
    """How the kernels of one kind of workload are made, checked and searched.

    case(problem): operands for measuring. spaces(problem, spec): the space of the family that is taken by default,
    then those of the others that could.
    kernel(problem, case, schedule, spec): schedule None for the analytical default; None for targets that have a
    builder of their own.
    schedules: family -> its schedule, a frozen dataclass of numbers and flags."""

    case: Callable[[Subject], Operands]
    spaces: Callable[[Subject, TargetSpec], list[Space]]
    schedules: Mapping[str, type]
    kernel: Callable[[Subject, Operands, Any, TargetSpec], Kernel] | None = None
