"""What `octet tune` does: the tasks of a model or a package, and a session on them."""

from pathlib import Path

from ...passes.realize.fuse_float import FuseFloat
from ...passes.realize.realize import realize
from ...passes.sensitivity.budget import parse_duration
from ...targets import detect
from ...targets.errors import OctetError
from ...targets.package import read_package
from ...tuning.session import TuningSession
from ...tuning.state import TuningLimits
from ...tuning.tasks import Task, tasks_of_graph, tasks_of_variant
from ...tuning.tune import tune

DEFAULT_BUDGET = "5m"


def run_session(
    model, calib, budget, trials, target, given, threads, tracker, key, database, progress
) -> TuningSession:
    """The finished session. Raises OctetError for what a user can get wrong."""
    if budget is None and trials is None:
        budget = DEFAULT_BUDGET
    if budget is not None and parse_duration(budget) == 0:
        raise OctetError(f"--budget {budget}: leaves no time to measure; give 90s, 10m or 2h")
    limits = TuningLimits(None if budget is None else parse_duration(budget), trials)
    spec = detect.resolve(target if target is not None else "native")
    tasks = tasks_of(model, calib, given, spec, threads)
    return tune(tasks, spec, database, limits, threads, tracker, key, progress)


def tasks_of(path, calib, given, spec, threads) -> list[Task]:
    """The tasks of an .onnx with calibration samples, or of a package's variant for the target."""
    kind = Path(path).suffix
    if kind == ".octet":
        variants = [variant for variant in read_package(path).variants if variant.target == spec.name]
        if not variants:
            raise OctetError(f"{path}: holds no variant for {spec.name}; name another with --target")
        return tasks_of_variant(variants[0], spec)
    if kind != ".onnx":
        raise OctetError(f"{path}: is neither .onnx nor .octet; name a model or a package")
    if calib is None:
        raise OctetError(
            f"--calib: tuning {path} needs calibration samples, which decide what runs in int8; or tune a package"
        )
    from ..building.api import quantize

    quantized = quantize(given.load(path, calib), calib, threads=threads)
    return tasks_of_graph(FuseFloat()(realize(quantized.module).module), spec)
