"""compile-model --policy fastest: a region whose int8 kernels and conversions take longer than fp32 stays fp32.

Measured on this machine where measuring was asked for and the target runs here, else by the cost model
(targets/x86/cost.py), which must be clear about it.
All variants of a package answer with the same bytes, so there is one decision for all its targets: the least sum of
their times, each relative to its int8."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from tvm import IRModule

from ...passes.annotate import Annotate
from ...passes.calibrate.quantize import Quantized
from ...passes.pipeline import to_integers
from ...passes.policy.choose_regions import Times, choose_float
from ...passes.policy.estimate import estimate, most_to_gain
from ...passes.policy.regions import Regions, regions_of
from ...passes.policy.release_float import ReleaseFloat
from ...passes.realize.realize import Realized
from ...passes.running import apply, unwatched
from ...targets import detect
from ...targets.errors import OctetError
from ...targets.variant import Variant
from ...targets.x86 import cost
from ..reporter import Reporter
from .options import BuildOptions
from .region_times import compare_times, estimated_times, measured_times

# Float must be so much faster in its kernels, and so must the whole network.
_MEASURED_MARGIN, _MEASURED_GAIN = 1.05, 0.99
# The cost model knows factors, not tenths; below so many seconds it knows nothing.
_CLEAR, _CLEAR_GAIN, _CLEAR_SECONDS = 1.5, 0.95, 50e-6


@dataclass(frozen=True)
class BuiltByPolicy:
    """What building under a policy gives.

    quantized: the hub that the variants were built from. realized: its integer graph. modules: what kernels were
    made of, one for each shape. variants: of every target one for each shape, in the order of `quantized.shapes`.
    report: JSON values, None under another policy than "fastest"."""

    quantized: Quantized
    realized: Realized
    modules: tuple[IRModule, ...]
    variants: tuple[tuple[Variant, ...], ...]
    report: dict | None


def build_by_policy(
    quantized: Quantized,
    specs,
    build: Callable,
    options: BuildOptions,
    reporter: Reporter,
    decided: dict | None = None,
) -> BuiltByPolicy:
    """build(modules, spec, tune=True) -> Variants of realised, float-fused modules, one for each shape; tune: whether
    their kernels are tuned first, where that is wanted.
    With trials, this machine's time decides where it can. What is decided for the first shape holds for all, so
    that they have the same weights.
    decided: the report of a BuiltByPolicy, which is made again by it: nothing is measured or estimated. Raises
    OctetError where it is of another network."""
    reporter.phase("realize")
    if options.policy == "float":
        quantized = _all_in_float(quantized)
    realized, module = _graphs(quantized)

    def outcome(hub, realized, module, report, variants=()):
        modules = (module, *(_graphs(other)[1] for other in hub.others))
        if not variants or hub.others:
            variants = tuple(build(modules, spec) for spec in specs)
        else:
            variants = tuple((variant,) for variant in variants)
        return BuiltByPolicy(hub, realized, modules, variants, report)

    if options.policy != "fastest" or not all(spec.backend.estimates for spec in specs):
        return outcome(quantized, realized, module, None)
    here = [spec for spec in specs if options.trials > 0 and not detect.missing(spec.features)]
    variants = tuple(build((module,), spec)[0] for spec in specs) if here else ()
    reporter.phase("policy")
    if decided is None and not here and not any(_worth_a_look(module, spec) for spec in specs):
        return outcome(quantized, realized, module, {"how": "cost model", "target": specs[0].name, "layers": []})
    regions = regions_of(quantized.module)
    int8 = _in_int8(regions, realized)

    def release(released):
        floats = frozenset(range(len(int8))) - int8 | released
        return replace(
            quantized, module=apply(ReleaseFloat(regions, floats, quantized.model.module), quantized.module)
        ), floats

    if decided is not None:
        released, report = _regions_of_report(decided, regions), decided
    else:
        # This is what the network would be if nothing were in int8.
        with unwatched():
            float_module = _graphs(release(int8)[0])[1]
        times = {}
        for number, spec in enumerate(specs):
            if spec in here:
                (built,) = build((float_module,), spec, tune=False)
                times[spec] = measured_times(
                    regions, int8, variants[number], built, quantized.model, spec, options.threads
                )
            else:
                times[spec] = estimated_times(
                    regions,
                    int8,
                    module,
                    float_module,
                    lambda mod, spec=spec: estimate(mod, spec.dot, cost.seconds),
                    spec.dot,
                )
        released = _choose(regions, times, bool(here), _kept(quantized, regions))
        report = _report(regions, realized, times, released, bool(here))
    if not released:
        return outcome(quantized, realized, module, report, variants)
    mixed, floats = release(released)
    mixed = replace(mixed, decisions=_decisions(quantized, regions, report))
    mixed_realized, mixed_module = _graphs(mixed)
    mixed_variants = tuple(build((mixed_module,), spec)[0] for spec in specs) if here else ()
    if here:
        reporter.phase("policy")
        pairs = [(variants[specs.index(spec)], mixed_variants[specs.index(spec)]) for spec in here]
        report["networks"] = [
            {"target": spec.name} | compare_times(*pair, options.threads) for spec, pair in zip(here, pairs)
        ]
        if sum(entry["chosen_ms"] / entry["int8_ms"] for entry in report["networks"]) > _MEASURED_GAIN * len(here):
            return outcome(quantized, realized, module, report | {"layers": [], "rejected": report["layers"]}, variants)
    names = {var.name for number in floats for var in regions.members[number]}
    mixed = replace(mixed, others=tuple(_released(other, names) for other in mixed.others))
    return outcome(mixed, mixed_realized, mixed_module, report, mixed_variants)


def _regions_of_report(report, regions) -> frozenset[int]:
    """Those that it leaves in float."""
    found = frozenset(entry.get("region") for entry in report["layers"])
    if not all(isinstance(number, int) and 0 <= number < len(regions.members) for number in found):
        raise OctetError(
            "the policy's report leaves regions in float that this network does not have; compile it again"
        )
    return found


def _released(hub, names) -> Quantized:
    """Another shape with the layers of these names in float."""
    regions = regions_of(hub.module)
    floats = frozenset(
        number for number, members in enumerate(regions.members) if any(var.name in names for var in members)
    )
    return replace(hub, module=ReleaseFloat(regions, floats, hub.model.module)(hub.module))


def _all_in_float(hub) -> Quantized:
    decisions = tuple(
        replace(d, dtype="float", reason="asked for (--policy float)") if d.dtype == "int8" else d
        for d in hub.decisions
    )
    return replace(hub, module=hub.model.module, decisions=decisions, others=tuple(map(_all_in_float, hub.others)))


def _graphs(quantized):
    return to_integers(quantized)


def _in_int8(regions: Regions, realized: Realized) -> frozenset[int]:
    """The regions of which something was realised in int8."""
    found = set()
    for block in realized.module["main"].body.blocks:
        for binding in block.bindings:
            value = binding.value
            if not hasattr(value, "args") or getattr(value.op, "name", "") in ("relax.quantize", "relax.dequantize"):
                continue
            tensors = [binding.var, *value.args]
            if any(str(getattr(tensor.ty, "dtype", "")) == "int8" for tensor in tensors):
                found.add(regions.of_layer.get(binding.var.name))
    return frozenset(number for number in found if number is not None)


def _worth_a_look(module, spec) -> bool:
    """Whether the cost model could be clear about anything: the float form of a large network takes seconds to make."""
    total, saved = most_to_gain(module, spec.dot, cost.seconds)
    return saved > _CLEAR_SECONDS and saved > (1 - _CLEAR_GAIN) * total


def _choose(regions, times: dict, measured: bool, kept: frozenset[int]) -> frozenset[int]:
    """Of the sum over the targets."""
    total = _summed(list(times.values()), [t.of(regions, frozenset()) for t in times.values()])
    if measured:
        return choose_float(regions, total, _MEASURED_MARGIN, kept)
    released = choose_float(regions, total, _CLEAR, kept)
    before, after = total.of(regions, frozenset()), total.of(regions, released)
    return released if after < _CLEAR_GAIN * before and before - after > _CLEAR_SECONDS else frozenset()


def _kept(quantized, regions) -> frozenset[int]:
    """The regions that the recipe's `int8_layers` keeps in int8."""
    if not quantized.recipe.int8_layers:
        return frozenset()
    names = Annotate(quantized.recipe).decide(quantized.model.module).kept
    return frozenset(regions.of_layer[name] for name in names if name in regions.of_layer)


def _summed(times, totals) -> Times:
    """Each relative to its network in int8, in seconds of the first."""
    weights = [totals[0] / max(total, 1e-12) for total in totals]

    def add(figures) -> tuple[float, ...]:
        return tuple(sum(w * x for w, x in zip(weights, row)) for row in zip(*figures))

    int8 = tuple(
        None if None in row else sum(w * x for w, x in zip(weights, row)) for row in zip(*(t.int8 for t in times))
    )
    return Times(int8, add(t.float for t in times), add(t.quantize for t in times), add(t.dequantize for t in times))


def _report(regions, realized, times, released, measured) -> dict:
    """JSON values. The figures are those of the first target."""
    spec, first = next(iter(times.items()))
    floats = first.floats(frozenset())
    layers = [
        {
            "name": layer.name,
            "operator": layer.operator,
            "int8_us": first.int8[number] * 1e6,
            "float_us": first.float[number] * 1e6,
            "region": number,
        }
        for layer in realized.layers
        if layer.dtype == "int8" and (number := regions.of_layer.get(layer.name)) in released
    ]
    conversions = lambda chosen: (
        sum(first.conversions(t, n, floats | chosen) for n, t in enumerate(regions.tensors)) * 1e6
    )
    return {
        "how": "measured" if measured else "cost model",
        "target": spec.name,
        "layers": layers,
        "int8_us": first.of(regions, frozenset()) * 1e6,
        "chosen_us": first.of(regions, released) * 1e6,
        "conversions_int8_us": conversions(frozenset()),
        "conversions_chosen_us": conversions(released),
    }


def _decisions(quantized, regions, report):
    """With the reason of each that is now in float."""
    reasons = {
        var.name: (
            f"faster in float: {entry['float_us']:.1f} us, "
            f"{entry['int8_us']:.1f} us in int8 ({report['how']}, {report['target']})"
        )
        for entry in report["layers"]
        for var in regions.members[entry["region"]]
    }
    return tuple(
        replace(d, dtype="float", reason=reasons[d.name]) if d.dtype == "int8" and d.name in reasons else d
        for d in quantized.decisions
    )
