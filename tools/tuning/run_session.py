"""What `octet tune` does: the tasks of a model or a package, and a session on them."""

from pathlib import Path

from ...passes.realize.fuse_float import FuseFloat
from ...passes.realize.realize import realize
from ...passes.sensitivity.budget import parse_duration
from ...targets import detect
from ...targets.errors import OctetError
from ...targets.package import read_package
from ...targets.spec import TargetSpec
from ...tuning.database import Database
from ...tuning.state import TuningLimits
from ...tuning.tasks import Task, tasks_of_graph, tasks_of_variant
from ...tuning.tune import tune
from ...tuning.tuning_session import TuningSession
from .request import TuningRequest

DEFAULT_BUDGET = "5m"


def run_session(request: TuningRequest, database: Database, progress) -> TuningSession:
    """The finished session. Raises OctetError for what a user can get wrong."""
    budget, trials = request.budget, request.trials
    if budget is None and trials is None:
        budget = DEFAULT_BUDGET
    if budget is not None and parse_duration(budget) == 0:
        raise OctetError(f"--budget {budget}: leaves no time to measure; give 90s, 10m or 2h")
    limits = TuningLimits(None if budget is None else parse_duration(budget), trials)
    spec, tasks = tasks_of(request)
    return tune(tasks, spec, database, limits, request.threads, request.tracker, request.key, progress)


def tasks_of(request: TuningRequest) -> tuple[TargetSpec, list[Task]]:
    """The target, and its tasks: of an .onnx with calibration samples, or of a package's variant."""
    spec = detect.resolve(request.target if request.target is not None else "native")
    path, kind = request.model, Path(request.model).suffix
    if kind == ".octet":
        variants = [variant for variant in read_package(Path(path)).variants if variant.target == spec.name]
        if not variants:
            raise OctetError(f"{path}: holds no variant for {spec.name}; name another with --target")
        return spec, tasks_of_variant(variants[0], spec)
    if kind != ".onnx":
        raise OctetError(f"{path}: is neither .onnx nor .octet; name a model or a package")
    if request.calib is None:
        raise OctetError(
            f"--calib: tuning {path} needs calibration samples, which decide what runs in int8; or tune a package"
        )
    from ..building.options import BuildOptions
    from ..building.quantizing import quantize_model
    from ..reporter import Reporter

    model = request.given.load(path, request.calib)
    quantized = quantize_model(model, request.calib, BuildOptions(threads=request.threads), Reporter())
    return spec, tasks_of_graph(FuseFloat()(realize(quantized.module).module), spec)
