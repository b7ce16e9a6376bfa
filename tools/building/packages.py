"""From the QDQ hub to the package: policy, kernels of every target, self-test vectors, what the manifest says."""

from dataclasses import asdict, replace
from functools import cache

from ...passes.calibrate.quantize import Quantized
from ...passes.exclusive import exclusive
from ...passes.frontend.model import Model
from ...passes.lower.backends import lowering_of
from ...passes.lower.build import build_shapes
from ...passes.lower.integer_network import IntegerNetwork
from ...passes.pipeline import canonicalize
from ...targets import detect
from ...targets.errors import OctetError
from ...targets.opening import open_session
from ...targets.package import Package, failed_outputs, selftest_of
from ...targets.x86.emulation.emulated_variant import emulated
from ..random_inputs import random_inputs
from ..reporter import Reporter
from .bfloat16 import check_floats
from .boundary import check_boundary, integer_networks, say_boundary
from .options import BuildOptions
from .pads import with_pads
from .policy import BuiltByPolicy, build_by_policy
from .records import records_for
from .referee import agrees_with_referee
from .watching import check_watched


@exclusive
def build_package(
    quantized: Quantized, options: BuildOptions, reporter: Reporter, decided: dict | None = None
) -> tuple[Quantized, Package]:
    """One variant per target, and the hub that they were built from: `quantized`, or what the policy made of it.
    decided: as build_by_policy takes it. Raises TargetError for a target without kernels, OctetError for a database
    that cannot be opened."""
    if options.policy == "fastest" and quantized.model.comes_quantised:
        options = replace(options, policy="int8")  # A network that comes quantised means what its file says.
    specs = resolve_targets(options.targets)
    check_floats(quantized.recipe.floats, specs)
    check_watched(specs, quantized.recipe)
    check_boundary(specs, quantized.recipe)
    with records_for(options, reporter) as records:
        model = quantized.model

        def build(modules, spec, tune=True):
            tuned = [records(module, spec, tune) for module in modules][0]
            reporter.phase(f"build {spec.name}")
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

        built = build_by_policy(quantized, specs, build, options, reporter, decided)
    reporter.phase("self-test")
    info, packages, compared = _described(built), [], []
    for module, variants in zip(built.modules, zip(*built.variants)):
        packages.append(with_selftest(Package(variants, info)))
        compared.append(agrees_with_referee(module, packages[-1]))
    package = replace(
        packages[0],
        info=info | {"self_test": {"by": "referee" if all(compared) else "compiled"}} if packages[0].selftest else info,
        others=tuple(packages[1:]),
    )
    say_boundary(package, quantized.recipe, [built.realized.module])
    return built.quantized, with_pads(built.quantized.model, package) if package.others else package


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


def _described(built: BuiltByPolicy) -> dict:
    """What a package's manifest says about its origin."""
    quantized, model = built.quantized, built.quantized.model
    recipe = asdict(quantized.recipe)
    recipe["float_operators"] = sorted(recipe["float_operators"])
    return (
        {
            "model": {"name": model.name, "sha256": model.sha256, "batch": model.batch}
            | ({"values": dict(model.values)} if model.values else {}),
            "recipe": recipe,
            "operators": _operators(quantized.decisions, built.realized.layers),
        }
        | ({"policy": built.report} if built.report is not None else {})
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
