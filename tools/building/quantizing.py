"""From a network and calibration samples to the QDQ hub."""

from collections.abc import Mapping
from pathlib import Path

from ...passes.calibrate.given_quantizers import given_hub
from ...passes.calibrate.quantize import Quantized, checked_samples, hub_of, quantize
from ...passes.exclusive import exclusive
from ...passes.frontend.model import Model
from ...passes.pipeline import canonicalize
from ...passes.sensitivity.configuration import measured_tensors, sites_of
from ...targets.errors import OctetError
from ...targets.samples import load_samples
from ..reporter import Reporter
from .calibration import measuring
from .options import BuildOptions
from .sessions import executor
from .watching import watched_as


@exclusive
def quantize_model(model: Model, samples, options: BuildOptions, reporter: Reporter) -> Quantized:
    """The hub of a network as imported; samples as octet.quantize takes them. Raises OctetError where a network that is
    not quantised comes without samples, DataError when they do not fit the model."""
    if model.comes_quantised:
        reporter.phase("canonicalize")
        return watched_as(given_hub(canonicalize(model)), options.recipe)
    if samples is None:
        raise OctetError(
            f"{model.name}: is not quantised yet (or only its weights are, or its ranges are left to run time), so "
            "calibration samples are needed; give a few hundred"
        )
    if isinstance(samples, (str, Path)):
        samples = load_samples(samples, model)
    reporter.phase("canonicalize")
    return quantize_canonical(canonicalize(model), samples, options, reporter)


def quantize_canonical(canonical: Model, samples, options: BuildOptions, reporter: Reporter) -> Quantized:
    """The hub of a network in canonical form, with samples at hand."""

    def factory(module):
        reporter.phase("build for calibration")
        run = executor(module, options.threads)
        reporter.phase("calibrate")
        return run

    if not isinstance(samples, Mapping):
        return quantize(canonical, samples, options.recipe, executor_factory=factory, progress=reporter.progress)
    tensors = measured_tensors([sites_of(canonical.module, options.recipe)])
    measure = measuring(options.cache)
    samples = checked_samples(canonical, samples)
    found = measure(canonical.module, tensors, samples, factory, reporter.progress)
    return hub_of(canonical, options.recipe, found)
