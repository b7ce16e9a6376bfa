"""Compiles float networks for this machine: the fp32 baseline, and the network that calibration runs."""

from ..passes.frontend.model import Model
from ..passes.lower.build import build_variant
from ..passes.realize.fuse_float import FuseFloat
from ..targets import detect
from ..targets.runtime import Session
from ..targets.variant import TensorSpec


def float_session(model: Model, threads: int | None = None) -> Session:
    """A canonical model in fp32 on our own kernels, on the best target of this machine: the baseline of every comparison."""
    variant = build_variant(FuseFloat()(model.module), detect.native(), model.inputs, model.outputs, f"{model.name}-fp32")
    return Session.from_variant(variant, threads=threads)


def executor(module, threads: int | None = None):
    """module (float Relax, `main` with static shapes) -> run({input: array}) -> list of its results; a run overwrites the results of the last."""
    main = module["main"]
    inputs = tuple(_spec(param.name, param.ty) for param in main.params)
    results = main.ret_ty.fields if hasattr(main.ret_ty, "fields") else [main.ret_ty]
    outputs = tuple(_spec(f"result{i}", ty) for i, ty in enumerate(results))
    variant = build_variant(FuseFloat()(module), detect.native(), inputs, outputs, "calibration")
    session = Session.from_variant(variant, threads=threads, reuse_outputs=True)
    return lambda feed: list(session.run(feed).values())


def _spec(name, ty):
    return TensorSpec(name, tuple(int(extent) for extent in ty.shape.values), str(ty.dtype))
