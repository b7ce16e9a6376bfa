"""What `compile-model` does: import, calibrate, build, check, measure, write; and the report of it as one
dictionary."""

import gc
from dataclasses import replace
from functools import partial

from ..passes.calibrate.held_out import fitted
from ..passes.calibrate.store import holds_statistics
from ..passes.running import check_stopped
from ..passes.sensitivity import derivation
from ..passes.sensitivity.budget import parse_duration
from ..passes.sensitivity.few import FEW
from ..targets import detect
from ..targets.batches import run_samples
from ..targets.errors import OctetError
from ..targets.package import Package
from ..targets.writing import check_writable
from ..tuning.place import place_of
from .building.accuracy import Workflow, automatic
from .building.bfloat16 import bfloat16_report, check_floats
from .building.boundary import check_boundary
from .building.calibration import hub_from
from .building.calibration_cache import cache_of, say_where_from
from .building.default import by_default
from .building.options import BuildOptions
from .building.packages import build_package, check_targets, resolve_targets
from .building.quantizing import quantize_model
from .building.recipes import recipe_of
from .building.records import sources
from .building.referee import compare_all
from .building.watching import check_samples_for_clips, check_watched, with_usual_clips
from .data import check_calib, read_samples, warn_of_constant, warn_of_full_masks
from .evaluating.agreement import Yardstick
from .evaluating.evaluation import score
from .metrics import find_metric
from .pages import roofline
from .pages.report import write_report
from .random_inputs import random_inputs
from .reporter import reporting
from .request import Request
from .scores import check_names, scoring_of
from .timing import interleaved


def compile_to_package(request: Request) -> dict:
    """Compiles and writes the package; everything a user can get wrong is checked before the first long phase. Returns
    the report."""
    check_writable(request.output)
    recipe = recipe_of(request)
    specs = resolve_targets(request.targets or ("native",))
    check_floats(recipe.floats, specs)
    check_watched(specs, recipe)
    check_boundary(specs, recipe)
    metric = find_metric(request.metric or "top1")
    seconds = None if request.budget is None else parse_duration(request.budget)
    for path in filter(None, (request.report, request.derivation)):
        check_writable(path)
    cache = cache_of(request.cache, request.no_cache)
    with reporting() as reporter:
        reporter.phase("import")
        model = request.given.load(request.model, request.calib, several=True)
        check_targets(model, specs)
        _check_calib(request, recipe, model)
        stored = request.calib is not None and not model.comes_quantised and holds_statistics(request.calib)
        if stored and (request.max_drop is not None or recipe.calibrator == "auto" or request.report is not None):
            raise OctetError(
                f"{request.calib}: holds statistics; --max-drop, --report and --calibrator auto need the samples "
                "themselves"
            )
        if seconds is not None and (stored or model.comes_quantised):
            why = "statistics say nothing of" if stored else "a network that comes quantised leaves nothing open for"
            raise OctetError(f"--budget {request.budget}: {why} a search; leave it out")
        if request.derivation is not None and (stored or model.comes_quantised):
            raise OctetError(
                f"--derivation {request.derivation}: nothing is learnt from samples here; leave it out, octet rebuild "
                f"needs the model{' and the statistics' if stored else ''} only"
            )
        samples = None if stored or request.calib is None else read_samples(request.calib, model)[0]
        check_samples_for_clips(recipe, samples, model)
        if samples is not None and not model.comes_quantised:
            warn_of_constant(request.calib, samples)
            warn_of_full_masks(request.calib, samples, model)
        check_names(request.output_names, model.outputs)
        validation = _validation(request, metric, model)
        options = BuildOptions(
            recipe,
            tuple(spec.name for spec in specs),
            request.threads,
            request.trials,
            request.db,
            request.policy,
            cache,
            request.free(specs),
            request.repair,
            request.output_names,
            seconds,
        )
        searches, seen = request.max_drop is not None or recipe.calibrator == "auto", FEW
        found, workflow, yardstick = {}, None, Yardstick(samples, request.output_names, request.threads, reporter)
        if stored:
            quantized, count = hub_from(request.calib, model, recipe)
            quantized, package = build_package(quantized, options, reporter)
        elif searches or request.report is not None:
            reporter.phase("canonicalize")
            assert samples is not None, "whoever searches or reports has samples (_check_calib)"
            workflow = Workflow(
                model,
                samples,
                options,
                reporter,
                partial(_save, request.output),
                f"{request.output}.state",
                apart=searches,
            )
            quantized, package, found = automatic(request, workflow, validation)
            seen = workflow.bench.chosen_by
        elif model.comes_quantised:
            quantized = quantize_model(model, None, options, reporter)
            quantized, package = build_package(quantized, options, reporter)
        else:
            quantized, package, found = by_default(request, model, samples, options, reporter, yardstick)
        check_stopped()
        gc.collect()  # What was tried lies in cycles, its weights with it.
        count = count if stored else 0 if samples is None or model.comes_quantised else fitted(samples, model)
        report = _report(request, model, package, count) | found
        if any(not detect.missing(variant.features) for variant in package.variants):
            report |= _measured(request, quantized, package, validation, reporter, yardstick, seen)
        if recipe.count_clips:
            reporter.phase("count clips")
            package = with_usual_clips(package, samples)
        if request.referee:
            reporter.phase("referee")
            report["referee"] = compare_all(quantized, package)
            package = replace(package, info=package.info | {"self_test": {"by": "referee"}})
        reporter.phase("write")
        report["size"]["package_bytes"] = _with_results(package, report).save(request.output)
        if request.derivation is not None and samples is not None:
            derivation.save(request.derivation, quantized, samples)
        if request.report is not None:
            reporter.phase("report")
            write_report(request.report, workflow, report | {"sections": _sections(request, package)})
    if request.trials > 0:
        report["database"] = place_of(request.db)
    say_where_from(cache)
    if cache is not None and cache.line is not None:
        report["calibration"]["source"] = cache.line.removeprefix("calibration: ")
    report["seconds"] = {name: round(value, 3) for name, value in reporter.seconds.items()}
    if "calibrate" in reporter.seconds and "workflow" not in report:
        report["calibration"]["samples_per_second"] = round(
            report["calibration"]["samples"] / reporter.seconds["calibrate"], 1
        )
    return report


def _check_calib(request, recipe, model):
    for option, patterns in (("--float-layers", request.float_layers), ("--int8-layers", request.int8_layers)):
        if patterns and model.comes_quantised:
            raise OctetError(
                f"{option} {patterns[0]}: {request.model} comes quantised and means what it says; give the fp32 "
                "network it was made from"
            )
    check_calib(request.calib, request.model, model)
    if model.comes_quantised and (
        request.max_drop is not None or recipe.calibrator == "auto" or request.report is not None
    ):
        raise OctetError(
            f"{request.model}: comes quantised and means what it says; leave --max-drop, --report and --calibrator "
            "auto out, or give the fp32 network it was made from"
        )


def _sections(request, package):
    """What the report shows beside accuracy: the kernels under the machine's roofs, where one of the package's CPU
    variants runs here."""
    if all(detect.missing(variant.features) or not variant.backend.host for variant in package.variants):
        return []
    return [roofline.section(package.shapes[0].session(request.threads), random_inputs(package.inputs), package.info)]


def _validation(request, metric, model):
    if request.validate is None:
        return None
    arrays, others = read_samples(request.validate, model, others=metric.whole)
    return arrays, scoring_of(
        metric, others, model, len(next(iter(arrays.values()))), request.validate, request.output_names
    )


def _report(request, model, package, samples):
    return {
        "model": str(request.model),
        "package": str(request.output),
        "targets": [variant.target for variant in package.variants],
        "batch": model.batch,
        "shapes": [{spec.name: list(spec.shape) for spec in shape.inputs} for shape in package.shapes],
        "pads": package.pads,
        "padding": package.info.get("padding"),
        "calibration": {**package.info["recipe"], "samples": samples},
        "operators": package.info["operators"],
        "policy": package.info.get("policy"),
        "kernels": {variant.target: sources(variant) for variant in package.variants},
        "multiply_adds": _multiply_adds(package.variants[0]),
        "bfloat16": bfloat16_report(package) if package.info["recipe"]["floats"] == "bf16" else None,
        "size": {
            "onnx_bytes": model.file_bytes,
            "weights_bytes": {variant.target: int(variant.weights.size) for variant in package.variants},
            "library_bytes": {variant.target: len(variant.library) for variant in package.variants},
        },
    }


def _multiply_adds(variant):
    """{"int8": count, "float": count} of one run."""
    whole, int8 = (
        sum(step.macs for step in variant.steps),
        sum(step.macs for step in variant.steps if step.dtype == "int8"),
    )
    return {"int8": int8, "float": whole - int8}


def _measured(request, quantized, package, validation, reporter, yardstick, seen):
    """Latency, agreement and, with labels, accuracy of our own fp32 and of the package, both on this machine. seen:
    held-out samples by which something was chosen."""
    int8 = package.shapes[0].session(request.threads)
    sessions = {"fp32": yardstick.fp32(quantized.model, int8.target), "int8": int8}
    report = {"variant": sessions["int8"].target, "threads": sessions["int8"].threads}
    if validation is not None:
        report |= _accuracy(request, sessions, validation, reporter)
    reporter.phase("measure")
    agreed = yardstick.agreement(quantized.model, package, int8)
    report |= {"agreement": agreed} if agreed else {}
    promise = yardstick.promise(seen)
    report |= {"promise": promise} if promise else {}
    feed = random_inputs(package.inputs)
    found = interleaved(
        {name: lambda session=session: session.run(feed) for name, session in sessions.items()},
        rounds=5,
        round_seconds=0.1,
    )
    return report | {"latency": {name: latency.as_dict() for name, latency in found.items()}}


def _accuracy(request, sessions, validation, reporter):
    arrays, scoring = validation
    reporter.phase("validate fp32")
    reporter.progress(0, scoring.count)
    exact = run_samples(sessions["fp32"], arrays, reporter.advance, only=scoring.only)
    # After a search nothing is said here, as it has said what there is to say.
    scoring = scoring.completed(exact, silent=request.max_drop is not None)
    reporter.phase("validate int8")
    reporter.progress(0, scoring.count)
    values = {"fp32": scoring.scores(exact), "int8": score(sessions["int8"], arrays, scoring, reporter.advance)}
    worst, drop = scoring.worst(values["fp32"], values["int8"]), scoring.drop(values["fp32"], values["int8"])
    missed = request.max_drop is not None and drop > request.max_drop
    several = (
        {
            "output": worst,
            "outputs": {name: {"fp32": values["fp32"][name], "int8": values["int8"][name]} for name in values["fp32"]},
        }
        if len(values["fp32"]) > 1
        else {}
    )
    figures = {
        "metric": scoring.metric.name,
        "percent": scoring.metric.percent,
        **{name: value[worst] for name, value in values.items()},
        "drop": drop,
    }
    return {
        "accuracy": figures | {"samples": scoring.count, "max_drop": request.max_drop} | several,
        "target_missed": missed,
    }


def _save(path, package: Package) -> None:
    """The best so far: it is there if the search is killed."""
    package.save(path)


def _with_results(package: Package, report) -> Package:
    info = package.info | {"calibration_samples": report["calibration"]["samples"]}
    info |= {key: report[key] for key in ("accuracy", "latency", "variant", "threads") if key in report}
    return replace(package, info=info)
