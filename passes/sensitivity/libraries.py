"""Float networks built for this machine, with one piece of machine code for all that differ only in constants."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from tvm_ffi import structural_hash

from octet.targets import detect
from octet.targets.native.interface import Interface
from octet.targets.opening import open_session
from octet.targets.runtime import Session
from octet.targets.variant import TensorSpec, Variant

from ..lower.cpu.backend import schedule
from ..lower.cpu.context import Packing
from ..lower.cpu.lowering import lower
from ..lower.cpu.rules import RULES
from ..lower.entry import emit_library
from ..lower.legalize import legalize
from ..lower.linearize import ALIASES, PART, linearize
from ..lower.merge_axes import MergeAxes
from ..lower.program import Program, Weights, kernels_of, pack_outputs
from ..lower.reused_code import compile_here
from ..realize.fuse_float import FuseFloat

if TYPE_CHECKING:
    import tvm
    from tvm import relax


@dataclass(frozen=True)
class PackedExecutor:
    """An executor whose results lie in one float32 array of `size` elements, the i-th from starts[i] on."""

    session: Session
    starts: list[int]
    size: int
    shapes: list[tuple[int, ...]]

    def __call__(self, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        """The results, float32, as views of one array: the next call overwrites them where the session reuses its
        outputs."""
        whole = self.session.run(feed)["results"]
        return [whole[start : start + prod(shape)].reshape(shape) for start, shape in zip(self.starts, self.shapes)]

    def into(self, feed: Mapping[str, np.ndarray], row: int) -> None:
        """One run, the results into `row` (the address of such an array, see `runtime.addresses`)."""
        self.session.run_into(feed, (row,))


@dataclass(frozen=True)
class BuiltNetwork:
    """A compiled network that runs in this process.

    library: machine code of `program`. weights: uint8, the constants that its kernels read. stepwise: whether its calls
    can be run one by one."""

    program: Program
    weights: np.ndarray
    library: bytes
    stepwise: bool


LARGE = 1 << 30  # A network of more bytes of weights is built again rather than kept beside those that are tried.


class Libraries:
    """Machine code by the structure of what it was made of. Building a network a second time with other weights costs
    no compiler run."""

    def __init__(self) -> None:
        self._spec = detect.native()
        self._of: dict[Any, Any] = {}
        self._executors: dict[Any, Any] = {}

    def build(
        self,
        fused: "tvm.IRModule",
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        stepwise: bool = False,
    ) -> "tuple[tvm.IRModule, BuiltNetwork, Any]":
        """(the module as it is lowered, what was built, what makes the constants of its layers: `lower`) of a module
        after FuseFloat. stepwise: whether its calls can be run one by one."""
        merged = MergeAxes()(fused)
        packing: Packing = {}
        kernels, program, weights = self._lowered(merged, packing)
        return merged, self._compiled(kernels, program, weights, inputs, outputs, stepwise), packing

    def session(
        self,
        built: BuiltNetwork,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        threads: int | None = None,
        reuse_outputs: bool = False,
        streams: int | None = None,
    ) -> Session:
        """A session of what was built, in this process."""
        variant = Variant(
            self._spec.name,
            built.library,
            built.weights,
            built.program.arena_bytes,
            built.program.steps if built.stepwise else (),
            tuple(inputs),
            outputs,
            self._spec.features,
            loops=built.program.spans,
        )
        return open_session(variant, threads, reuse_outputs, streams)

    def executor(self, module: "tvm.IRModule", threads: int | None = None) -> PackedExecutor:
        """An ExecutorFactory of calibration (passes/calibrate/collect.py); the first one and the last one are kept, as
        more samples often follow of the network as it came, or of what was made of it last. None is kept of a network
        of LARGE weights."""
        key = structural_hash(module), threads
        if key in self._executors:
            return self._executors[key]
        executor: Any = self._executor(module, threads)
        if not isinstance(executor, PackedExecutor) or executor.session.weights.nbytes <= LARGE:
            self._executors = dict(list(self._executors.items())[:1]) | {key: executor}
        return executor

    def _executor(self, module: "tvm.IRModule", threads: int | None) -> PackedExecutor | Callable[[Any], list[Any]]:
        main = module["main"]
        results = main.ret_ty.fields if hasattr(main.ret_ty, "fields") else [main.ret_ty]
        inputs = tuple(_spec(p.name, p.ty) for p in main.params)
        outputs = tuple(_spec(f"result{i}", ty) for i, ty in enumerate(results))
        kernels, program, weights = self._lowered(MergeAxes()(FuseFloat()(module)))
        if any(spec.dtype != "float32" for spec in outputs):
            session = self.session(
                self._compiled(kernels, program, weights, inputs, outputs), inputs, outputs, threads, reuse_outputs=True
            )
            return lambda feed: list(session.run(feed).values())
        sizes = [prod(spec.shape) for spec in outputs]
        program, starts, size = pack_outputs(program, sizes)
        packed = (TensorSpec("results", (size,), "float32"),)
        session = self.session(
            self._compiled(kernels, program, weights, inputs, packed), inputs, packed, threads, reuse_outputs=True
        )
        return PackedExecutor(session, starts, size, [spec.shape for spec in outputs])

    def executor_factory(self, threads: int | None = None) -> Callable[..., Any]:
        """What makes the executors that calibration runs on, as `collect` takes it."""
        return partial(self.executor, threads=threads)

    def _compiled(
        self,
        kernels: "tvm.IRModule",
        program: Program,
        weights: np.ndarray,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        stepwise: bool = False,
    ) -> BuiltNetwork:
        emitted = emit_library(kernels, program, inputs, outputs, stepwise=stepwise)
        interface = Interface(
            tuple(inputs),
            tuple(outputs),
            weights.size,
            program.arena_bytes,
            loops=program.spans,
            steps=len(program.steps) if stepwise else 0,
        )
        key = structural_hash(emitted), interface
        if key not in self._of:
            self._of[key] = compile_here(emitted, self._spec, [interface])
        return BuiltNetwork(program, weights, self._of[key], stepwise)

    def _lowered(
        self, fused: "tvm.IRModule", packing: Packing | None = None
    ) -> "tuple[tvm.IRModule, Program, np.ndarray]":
        weights = Weights(share=False)
        kernels, program = self._linearized(fused, packing, weights)
        del fused  # Nothing but `weights` holds its constants any more.
        return kernels, program, weights.blob()

    def _linearized(
        self, fused: "tvm.IRModule", packing: Packing | None, weights: Weights
    ) -> "tuple[tvm.IRModule, Program]":
        lowered, _ = lower(fused, self._spec, RULES, packing=packing)
        legal = schedule(legalize(lowered, (*ALIASES, PART)))
        return kernels_of(legal), linearize(legal, weights)


def _spec(name: str, ty: "relax.TensorType") -> TensorSpec:
    return TensorSpec(name, tuple(int(extent) for extent in ty.shape.values), str(ty.dtype))
