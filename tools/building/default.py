"""compile-model without an accuracy target: one calibration and one build, and what is nearly free where int8 turns out
to be far from fp32."""

from functools import partial

from ...passes.annotate import Annotate
from ...passes.calibrate.held_out import for_ranges
from ...passes.pipeline import canonicalize
from ...passes.running import check_stopped
from ...passes.sensitivity.assembly import smoothings_of
from ...passes.sensitivity.attempt import LEFT_OUT, Attempt
from ...passes.sensitivity.budget import cpu_seconds
from ...passes.sensitivity.design import Design
from ...passes.sensitivity.few import FEW
from ...passes.sensitivity.rescaling import POOR, rescalable
from ...passes.sensitivity.search import SearchOutcome
from ...passes.sensitivity.switches import switches_of
from ...targets import detect
from . import api
from .accuracy import CHOICES_FAR, Workflow, automatic, described


def by_default(
    request, model, samples, recipe, names, free, yardstick, phase, display, cache, seconds: float | None
) -> tuple:
    """(hub, package, what the report says of it). A part of the samples is held out of calibration. free: options that
    may change (accuracy.Workflow).
    seconds: that what is tried may take, None for what accuracy.CHOICES says. yardstick: tells how near to fp32 a
    package is. A network that is near enough costs one calibration and one build."""
    phase("canonicalize")
    canonical = canonicalize(model)
    workflow = partial(
        Workflow,
        model,
        samples,
        recipe,
        names,
        request.threads,
        phase,
        display,
        trials=request.trials,
        db=request.db,
        policy=request.policy,
        cache=cache,
        free=free,
        canonical=canonical,
        repair=request.repair,
        outputs=request.output_names,
        choices=seconds,
    )
    if free and switches_of(Annotate(recipe).decide(canonical.module), free):
        return automatic(request, workflow(), None, None)
    started = cpu_seconds()
    calibrated = api.quantize_canonical(
        canonical, for_ranges(samples, model), recipe, request.threads, phase, display.update, cache
    )
    took = cpu_seconds() - started
    quantized, package = api.compile_with_hub(
        calibrated, names, request.trials, request.db, request.threads, phase, request.policy
    )
    check_stopped()
    if (
        not request.repair
        or not _poor(yardstick, quantized, package, request.threads)
        or not (rescalable(canonical.module) or smoothings_of(canonical.module) or "calibrator" in free)
    ):
        return quantized, package, {}
    design = Design(recipe)
    if 2 * took > (
        CHOICES_FAR if seconds is None else seconds
    ):  # its error and that of one rescaled network: either is built and run as calibration did
        left = Attempt(f"rescaled channels: {LEFT_OUT}", None, None, False, design)
        return quantized, package, {"workflow": described(SearchOutcome(design, float("nan"), True, [left]))}
    return automatic(request, workflow(compiled={design: (quantized, package)}), None, None)


def _poor(yardstick, quantized, package, threads):
    if all(detect.missing(variant.features) for variant in package.variants):
        return False  # nothing of it runs here
    yardstick.agreement(quantized.model, package, package.session(threads))
    error = yardstick.error_of_first(FEW)  # the others stay untouched by what is chosen, and so can vouch for it
    return error is not None and error > POOR
