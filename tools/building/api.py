"""The library behind the commands and behind `import octet`: load_onnx, quantize, compile."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cache, partial
from pathlib import Path

from ...passes.annotate.recipe import Recipe
from ...passes.calibrate.cache import StatisticsCache
from ...passes.calibrate.given import given_hub
from ...passes.calibrate.quantize import Quantized, checked_samples, hub_of, quantize as _quantize
from ...passes.exclusive import exclusive
from ...passes.frontend.model import Model
from ...passes.frontend.onnx import load_onnx
from ...passes.lower.backends import lowering_of
from ...passes.lower.build import build_shapes
from ...passes.lower.network import IntegerNetwork
from ...passes.pipeline import canonicalize
from ...passes.sensitivity.configuration import measured_tensors, sites_of
from ...passes.sensitivity.observe import statistics_of
from ...targets import detect
from ...targets.errors import OctetError
from ...targets.opening import open_session
from ...targets.package import Package, failed_outputs, selftest_of
from ...targets.samples import load_samples
from ...targets.x86.emulation.library import emulated
from ..inputs import random_inputs
from .bfloat16 import check_floats
from .boundary import check_boundary, integer_networks, say_boundary
from .padding import padded
from .policy import BuiltByPolicy, build_by_policy, check_policy
from .records import records_for
from .referee import checked
from .sessions import executor
from .watching import check_samples_for_clips, check_watched, watched_as, with_usual_clips

__all__ = ["compile", "load_onnx", "quantize"]


@exclusive
def quantize(
    model: Model,
    samples=None,
    recipe: Recipe | None = None,
    threads: int | None = None,
    phase=lambda name: None,
    progress=None,
    cache=None,
) -> Quantized:
    """Post-training quantization: the QDQ hub of a network. One that comes quantised keeps its own scales; samples and
    recipe are not needed.

    samples: calibration data, a few hundred are plenty: a path of an .npz (read as it goes), {input name: array [N,
    ...]}, an iterable of such dictionaries (streamed; parts of any length), or a function that gives one. phase: called
    with a short name when a stage begins. progress: called with (samples done, samples in all or None). cache: a folder
    where statistics are kept and looked up, or a StatisticsCache; not for streams, whose content is known only when
    they are over. Raises DataError when the samples do not fit the model."""
    if model.comes_quantised:
        phase("canonicalize")
        return watched_as(given_hub(canonicalize(model)), recipe)
    if samples is None:
        raise OctetError(
            f"{model.name}: is not quantised yet (or only its weights are, or its ranges are left to run time), so "
            "calibration samples are needed; give a few hundred"
        )
    if isinstance(samples, (str, Path)):
        samples = load_samples(samples, model)
    phase("canonicalize")
    return quantize_canonical(canonicalize(model), samples, recipe, threads, phase, progress, cache)


def quantize_canonical(
    canonical: Model, samples, recipe: Recipe | None, threads: int | None, phase, progress, cache
) -> Quantized:
    """The same of a network in canonical form, with samples at hand."""

    def factory(module):
        phase("build for calibration")
        run = executor(module, threads)
        phase("calibrate")
        return run

    if not isinstance(samples, Mapping):
        return _quantize(canonical, samples, recipe, executor_factory=factory, progress=progress)
    recipe = recipe if recipe is not None else Recipe()
    tensors = measured_tensors([sites_of(canonical.module, recipe)])
    measure = statistics_of
    if cache is not None:
        measure = partial(
            (cache if isinstance(cache, StatisticsCache) else StatisticsCache(cache)).measured, statistics_of
        )
    return hub_of(
        canonical, recipe, measure(canonical.module, tensors, checked_samples(canonical, samples), factory, progress)
    )


def compile(
    quantized: Quantized,
    targets=("native",),
    trials: int = 0,
    db=None,
    threads: int | None = None,
    phase=lambda name: None,
    policy: str = "fastest",
    samples=None,
) -> Package:
    """Compiles the QDQ hub to a package with one variant per target ("native": the best that runs here).

    trials: schedules to measure per kernel of the targets that run here; 0 measures none. db: a file or URL of tuning
    records, which are applied; None for none, with trials the user's (tuning/place.py). threads: most cores to measure
    with. phase: called with a short name when a stage begins. policy: "fastest" leaves in float what int8 would make
    slower, measured with trials, else by the cost model; "int8" leaves nothing, "float" everything. samples: a path or
    {input: array [N, ...]}, for `Recipe(count_clips=True)`: calibration samples, from whose answers it is learnt how
    many clipped values are usual. Raises TargetError for a target without kernels, OctetError for a database that
    cannot be opened."""
    if trials < 0:
        raise OctetError(f"trials is {trials}; it must be 0 or more")
    check_policy(policy)
    if isinstance(samples, (str, Path)):
        samples = load_samples(samples, quantized.model)
    check_samples_for_clips(quantized.recipe, samples, quantized.model)
    package = compile_with_hub(quantized, targets, trials, db, threads, phase, policy)[1]
    return with_usual_clips(package, samples) if quantized.recipe.count_clips else package


@exclusive
def compile_with_hub(
    quantized: Quantized, targets, trials: int, db, threads, phase, policy: str, decided: dict | None = None
) -> tuple[Quantized, Package]:
    """The same, and the hub that the package was built from: `quantized`, or what the policy made of it. decided: as
    build_by_policy takes it."""
    check_policy(policy)
    policy = (
        "int8" if policy == "fastest" and quantized.model.comes_quantised else policy
    )  # such a network means what its file says
    specs = resolve_targets(targets)
    check_floats(quantized.recipe.floats, specs)
    check_watched(specs, quantized.recipe)
    check_boundary(specs, quantized.recipe)
    with records_for(trials, db, threads, phase) as records:
        model = quantized.model

        def build(modules, spec, tune=True):
            tuned = [records(module, spec, tune) for module in modules][0]
            phase(f"build {spec.name}")
            networks = tuple(
                IntegerNetwork(module, shape.inputs, shape.outputs) for module, shape in zip(modules, model.shapes)
            )
            recipe = quantized.recipe
            return build_shapes(
                networks,
                spec,
                model.name,
                tuned,
                self_check=recipe.self_check,
                count_clips=recipe.count_clips,
                integer=integer_networks(networks, recipe),
            )

        made = build_by_policy(quantized, specs, policy, trials > 0, build, threads, phase, decided)
    phase("self-test")
    info, packages, compared = _described(made), [], []
    for module, variants in zip(made.modules, zip(*made.variants)):
        packages.append(with_selftest(Package(variants, info)))
        compared.append(checked(module, packages[-1]))
    package = replace(
        packages[0],
        info=info | {"self_test": {"by": "referee" if all(compared) else "compiled"}} if packages[0].selftest else info,
        others=tuple(packages[1:]),
    )
    say_boundary(package, quantized.recipe, [made.realized.module])
    return made.quantized, padded(made.quantized.model, package) if package.others else package


def resolve_targets(targets) -> tuple:
    """TargetSpecs of the names, without repetitions, in the order given."""
    names = (targets,) if isinstance(targets, str) else tuple(targets)
    if not names:
        raise OctetError("no target was named; take native or one of `octet targets`")
    return tuple({spec.name: spec for spec in map(detect.resolve, names)}.values())


def check_targets(model: Model, specs) -> None:
    """Raises TargetError for an operator without a kernel on one of the targets, before the first long phase."""
    module = cache(lambda: canonicalize(model).module)
    for spec in specs:
        lowering_of(spec).check(module, spec)


def with_selftest(package: Package) -> Package:
    """The package with self-test vectors; all variants that run here must agree byte for byte. Where none does, the
    best one for a CPU gives them, emulated; where there is none for a CPU, the package has none."""
    able = [v for v in package.variants if not detect.missing(v.features)]
    able = able or [
        emulated(max(cpus, key=lambda v: v.rank))
        for cpus in [[v for v in package.variants if v.backend.portable]]
        if cpus
    ]
    if not able:
        return package
    vectors = selftest_of(open_session(able[0]), random_inputs(package.inputs))
    for variant in able[1:]:
        failed = failed_outputs(open_session(variant), vectors)
        assert not failed, f"{able[0].target} and {variant.target} disagree on {', '.join(failed)}"
    return replace(package, selftest=vectors)


def _described(made: BuiltByPolicy) -> dict:
    """What a package's manifest says about its origin."""
    quantized, model = made.quantized, made.quantized.model
    recipe = asdict(quantized.recipe)
    recipe["float_operators"] = sorted(recipe["float_operators"])
    return (
        {
            "model": {"name": model.name, "sha256": model.sha256, "batch": model.batch}
            | ({"values": dict(model.values)} if model.values else {}),
            "recipe": recipe,
            "operators": _operators(quantized.decisions, made.realized.layers),
        }
        | ({"policy": made.report} if made.report is not None else {})
        | ({"repairs": quantized.origin.repairs} if quantized.origin is not None else {})
    )


def _operators(decisions, layers) -> dict:
    """{"int8": count, "float": count, "reasons": [{"name", "operator", "reason"}, ...] of those in float}. A layer is
    what became one kernel.
    Of a look-up the reason is the hub's (passes/policy/quantize_embeddings.py)."""
    decided = {d.name: d.reason for d in decisions if d.dtype == "float" and d.reason and d.op != "relax.take"}
    rest = [layer for layer in layers if layer.dtype != "int8"]
    reasons = [
        {"name": layer.name, "operator": layer.operator, "reason": decided.get(layer.name, layer.reason)}
        for layer in rest
    ]
    return {"int8": len(layers) - len(rest), "float": len(rest), "reasons": reasons}
