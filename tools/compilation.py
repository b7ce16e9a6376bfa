"""What `compile-model` does: import, calibrate, build, check, measure, write; and the report of it as one dictionary."""

from dataclasses import dataclass
from pathlib import Path

from ..targets import detect
from ..targets.archive import check_writable
from ..targets.errors import OctetError
from ..targets.package import Package
from . import api
from .data import read_samples
from .evaluation import check_labels, find_metric, score
from .inputs import random_inputs
from .phases import phases
from .recipes import recipe_of
from .records import sources
from .sessions import float_session
from .timing import interleaved


@dataclass(frozen=True)
class Request:
    """The options of the command; None where the user did not give one."""

    model: str
    calib: str
    output: str
    targets: tuple[str, ...] = ()
    batch: int | None = None
    threads: int | None = None
    validate: str | None = None
    metric: str | None = None
    max_drop: float | None = None
    calibrator: str | None = None
    percentile: float | None = None
    activations: str | None = None
    weights: str | None = None
    trials: int = 0
    db: str | None = None

    def __post_init__(self):
        if self.validate is None and (self.max_drop is not None or self.metric is not None):
            raise OctetError(f"--{'metric' if self.max_drop is None else 'max-drop'}: needs labelled data; add --validate DATA.npz")


def compile_to_package(request: Request) -> dict:
    """Compiles and writes the package; everything a user can get wrong is checked before the first long phase. Returns the report."""
    check_writable(request.output)
    recipe = recipe_of(request)
    specs = api.resolve_targets(request.targets or ("native",))
    metric = find_metric(request.metric or "top1")
    with phases() as (phase, display):
        phase("import")
        model = api.load_onnx(request.model, request.batch)
        samples, _ = read_samples(request.calib, model)
        validation = _validation(request, metric, model)
        quantized = api.quantize(model, samples, recipe, threads=request.threads, phase=phase, progress=display.update)
        package = api.compile(quantized, [spec.name for spec in specs], request.trials, request.db, request.threads, phase)
        report = _report(request, model, package, len(next(iter(samples.values()))))
        if any(not detect.missing(variant.features) for variant in package.variants):
            report |= _measured(request, quantized, package, validation, metric, phase, display)
        phase("write")
        report["size"]["package_bytes"] = _with_results(package, report).save(request.output)
    report["seconds"] = {name: round(value, 3) for name, value in phase.seconds.items()}
    report["calibration"]["samples_per_second"] = round(report["calibration"]["samples"] / phase.seconds["calibrate"], 1)
    return report


def _validation(request, metric, model):
    if request.validate is None:
        return None
    arrays, labels = read_samples(request.validate, model)
    return arrays, check_labels(metric, labels, len(next(iter(arrays.values()))), model.outputs, request.validate)


def _report(request, model, package, samples):
    return {
        "model": str(request.model),
        "package": str(request.output),
        "targets": [variant.target for variant in package.variants],
        "batch": model.batch,
        "calibration": {**package.info["recipe"], "samples": samples},
        "operators": package.info["operators"],
        "kernels": {variant.target: sources(variant) for variant in package.variants},
        "size": {
            "onnx_bytes": Path(request.model).stat().st_size,
            "weights_bytes": {variant.target: int(variant.weights.size) for variant in package.variants},
            "library_bytes": {variant.target: len(variant.library) for variant in package.variants},
        },
    }


def _measured(request, quantized, package, validation, metric, phase, display):
    """Latency and, with labels, accuracy of our own fp32 and of the package, both on this machine."""
    phase("build fp32")
    sessions = {"fp32": float_session(quantized.model, request.threads), "int8": package.session(request.threads)}
    report = {"variant": sessions["int8"].target, "threads": sessions["int8"].threads}
    if validation is not None:
        report |= _accuracy(request, sessions, validation, metric, phase, display)
    phase("measure")
    feed = random_inputs(package.inputs)
    found = interleaved({name: lambda session=session: session.run(feed) for name, session in sessions.items()}, rounds=5, round_seconds=0.1)
    return report | {"latency": {name: latency.as_dict() for name, latency in found.items()}}


def _accuracy(request, sessions, validation, metric, phase, display):
    arrays, labels = validation
    count = len(next(iter(arrays.values())))
    values = {}
    for name, session in sessions.items():
        phase(f"validate {name}")
        display.update(0, count)
        values[name] = score(session, arrays, labels, metric, display.advance)
    drop = metric.drop(values["fp32"], values["int8"])
    missed = request.max_drop is not None and drop > request.max_drop
    return {"accuracy": {"metric": metric.name, **values, "drop": drop, "samples": count, "max_drop": request.max_drop}, "target_missed": missed}


def _with_results(package: Package, report) -> Package:
    info = package.info | {"calibration_samples": report["calibration"]["samples"]}
    info |= {key: report[key] for key in ("accuracy", "latency", "variant", "threads") if key in report}
    return Package(package.variants, info, package.selftest)
