"""compile-model without an accuracy target: one calibration and one build, and what is nearly free where int8 turns out to be far from fp32."""

from functools import partial

from ...passes.annotate import Annotate
from ...passes.calibrate.held_out import for_ranges
from ...passes.pipeline import canonicalize
from ...passes.running import check_stopped
from ...passes.sensitivity.assembly import smoothings_of
from ...passes.sensitivity.bench import FEW
from ...passes.sensitivity.rescaling import POOR, rescalable
from ...passes.sensitivity.switches import switches_of
from ...targets import detect
from . import api
from .accuracy import Workflow, automatic


def by_default(request, model, samples, recipe, names, free, yardstick, phase, display, cache, seconds: float | None) -> tuple:
    """(hub, package, what the report says of it). A part of the samples is held out of calibration. free: options that may change (accuracy.Workflow).
    seconds: that what is tried may take, None for what accuracy.CHOICES says. yardstick: tells how near to fp32 a package is. A network that is near enough costs one calibration and one build."""
    phase("canonicalize")
    canonical = canonicalize(model)
    workflow = partial(Workflow, model, samples, recipe, names, request.threads, phase, display, trials=request.trials, db=request.db,
                       policy=request.policy, cache=cache, free=free, canonical=canonical, repair=request.repair, outputs=request.output_names, choices=seconds)  # fmt: skip
    if free and switches_of(Annotate(recipe).decide(canonical.module), free):
        return automatic(request, workflow(), None, None)
    quantized = api.quantize_canonical(canonical, for_ranges(samples, model), recipe, request.threads, phase, display.update, cache)
    quantized, package = api.compile_with_hub(quantized, names, request.trials, request.db, request.threads, phase, request.policy)
    check_stopped()
    if request.repair and _poor(yardstick, quantized, package, request.threads) and (rescalable(canonical.module) or smoothings_of(canonical.module)):
        return automatic(request, workflow(), None, None)
    return quantized, package, {}


def _poor(yardstick, quantized, package, threads):
    if all(detect.missing(variant.features) for variant in package.variants):
        return False  # nothing of it runs here
    yardstick.agreement(quantized.model, package, package.session(threads))
    error = yardstick.error_of_first(FEW)  # the others stay untouched by what is chosen, and so can vouch for it
    return error is not None and error > POOR
