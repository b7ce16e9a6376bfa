"""compile-model without an accuracy target: one calibration and one build, and what is nearly free where int8 turns out
to be far from fp32."""

from functools import partial

from ...passes.annotate import Annotate
from ...passes.calibrate.held_out import for_ranges
from ...passes.pipeline import canonicalize
from ...passes.running import check_stopped
from ...passes.sensitivity.attempt import LEFT_OUT, Attempt
from ...passes.sensitivity.budget import cpu_seconds
from ...passes.sensitivity.choices.switches import switches_of
from ...passes.sensitivity.design import Design
from ...passes.sensitivity.few import FEW
from ...passes.sensitivity.rescaling import POOR
from ...passes.sensitivity.search import SearchOutcome
from ...targets import detect
from ..reporter import Reporter
from .accuracy import Workflow, automatic, workflow_report
from .choices import seconds_far
from .options import BuildOptions
from .packages import build_package
from .quantizing import quantize_canonical


def by_default(request, model, samples, options: BuildOptions, reporter: Reporter, yardstick) -> tuple:
    """Compiles a network without an accuracy target.

    (hub, package, what the report says of it). A part of the samples is held out of calibration. yardstick: tells
    how near to fp32 a package is. A network that is near enough costs one calibration and one build."""
    began = cpu_seconds()
    reporter.phase("canonicalize")
    canonical = canonicalize(model)
    workflow = partial(Workflow, model, samples, options, reporter, canonical=canonical, began=began)
    if options.free and switches_of(Annotate(options.recipe).decide(canonical.module), options.free):
        return automatic(request, workflow(), None)
    started = cpu_seconds()
    calibrated = quantize_canonical(canonical, for_ranges(samples, model), options, reporter)
    took = cpu_seconds() - started
    quantized, package = build_package(calibrated, options, reporter)
    check_stopped()
    if not options.repair or not _poor(yardstick, quantized, package, options.threads):
        return quantized, package, {}
    design = Design(options.recipe)
    # The network's error and that of one rescaled network would take as long: either is built and run as calibration
    # did.
    if 2 * took > (seconds_far(cpu_seconds() - began) if options.seconds is None else options.seconds):
        left = Attempt(f"rescaled channels: {LEFT_OUT}", None, None, False, design)
        return quantized, package, {"workflow": workflow_report(SearchOutcome(design, float("nan"), True, [left]))}
    yardstick.release()
    return automatic(request, workflow(compiled={design: (quantized, package)}), None)


def _poor(yardstick, quantized, package, threads):
    if all(detect.missing(variant.features) for variant in package.variants):
        return False  # No variant runs on this machine, so nothing can be said.
    yardstick.agreement(quantized.model, package, package.session(threads))
    # The other samples stay untouched by what is chosen, and so can vouch for it.
    error = yardstick.error_of_first(FEW)
    return error is not None and error > POOR
