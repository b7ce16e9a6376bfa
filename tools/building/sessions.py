"""Compiles float networks for this machine: the fp32 baseline, and the network that calibration runs."""

from ...passes.frontend.model import Model
from ...passes.lower.build import build_variant
from ...passes.realize.fuse_float import FuseFloat
from ...passes.running import unwatched
from ...passes.sensitivity.libraries import Libraries
from ...targets import detect
from ...targets.opening import open_session
from ...targets.registry import find
from ...targets.runtime import Session


def float_session(model: Model, threads: int | None = None, target: str | None = None) -> Session:
    """A canonical model in fp32 on our own kernels: the baseline of every comparison. target: name of the CPU target;
    None for the best one of this machine, which also stands in for a GPU."""
    spec = detect.native() if target is None or not find(target).backend.host else find(target)
    with unwatched():
        variant = build_variant(
            FuseFloat()(model.module), spec, model.inputs, model.outputs, f"{model.name}-fp32", here=True
        )
    return open_session(variant, threads=threads)


def executor(module, threads: int | None = None):
    """module (float Relax, `main` with static shapes) -> run({input: array}) -> list of its results; a run overwrites
    the results of the last."""
    return Libraries().executor(module, threads)
