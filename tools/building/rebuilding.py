"""A package made again from its sources, and compared: whoever has them can attest that it is what they become."""

from dataclasses import dataclass, fields, replace
from types import SimpleNamespace

import msgspec

from ...passes.annotate.recipe import Recipe
from ...targets import archive
from ...targets.batches import sample_shape
from ...targets.errors import OctetError, PackageError
from ...targets.package import Package, read_package
from ...targets.samples import load_samples
from ...targets.schema import parsed
from ..reporter import Reporter
from .calibration import hub_from
from .given import as_compiled
from .opening import check_origin
from .options import BuildOptions
from .packages import build_package
from .quantizing import quantize_model
from .watching import check_samples_for_clips, with_clips_of, with_usual_clips

# These fields of the manifest's `info` hold what a machine's clock or its user's data said.
MEASURED = ("accuracy", "latency", "variant", "threads")


@dataclass(frozen=True)
class RebuildComparison:
    """What is the same, and what is not, in a package and one made again from its sources.

    same: members that are byte for byte those of the package. different: {member, or field of the manifest: how}.
    left_out: {the same: why it cannot be told}."""

    same: tuple[str, ...]
    different: dict[str, str]
    left_out: dict[str, str]


def rebuild(
    path, model_path, statistics, reporter: Reporter, db=None, threads: int | None = None, calib=None
) -> RebuildComparison:
    """Makes the package `path` again, with the recipe, targets, policy and shapes that its manifest says. statistics:
    of `octet calibrate`, or what --derivation wrote; None for a network that comes quantised. db: the tuning records
    that were applied. calib: the calibration samples, of a package that counts clipped values. None of the package's
    code is run. Raises OctetError where the sources are others, or where the package does not say enough to be made
    again."""
    package = read_package(path)
    check_origin(path, model_path)
    given = as_compiled(
        SimpleNamespace(batch=package.info["model"]["batch"], inputs=package.inputs),
        package.info,
        package.others,
        package.pads,
    )
    reporter.phase("import")
    batch = package.info["model"]["batch"]
    model = given.load(
        model_path, {spec.name: (1, *sample_shape(spec, batch)) for spec in package.inputs}, several=True
    )
    if statistics is None and not model.comes_quantised:
        raise OctetError(
            f"--statistics STATS: {model_path} is not quantised, so its statistics are needed; make them with octet "
            "calibrate from the same samples"
        )
    recipe = _recipe_of(path, package.info["recipe"])
    targets = tuple(variant.target for variant in package.variants)
    options = BuildOptions(recipe, targets, threads, db=db, policy=_policy_of(package))
    if calib is not None and not recipe.count_clips:
        raise OctetError(f"--calib {calib}: {path} counts no clipped values, so no samples are needed; leave it out")
    answered = None if calib is None else load_samples(calib, model)
    if calib is not None:
        check_samples_for_clips(recipe, answered, model)
    tuned = sorted(
        {
            step.source
            for shape in package.shapes
            for variant in shape.variants
            for step in variant.steps
            if step.source not in ("", "default")
        }
    )
    if tuned and db is None:
        raise OctetError(f"{path}: has schedules of tuning records ({tuned[0]}); name the database with --db")
    if model.comes_quantised:
        quantized, samples = quantize_model(model, None, options, reporter), 0
    else:
        quantized, samples = hub_from(statistics, model, recipe)
    repairs = [name for name, value in (package.info.get("repairs") or {}).items() if value]
    if repairs and quantized.origin is None:
        raise PackageError(
            f"{path}: was repaired by calibration samples ({', '.join(repairs)}), which statistics alone do not tell; "
            "name what --derivation wrote when it was compiled"
        )
    report = package.info.get("policy") or {}
    # What a clock said is data; what the cost model said is computed again.
    decided = report if report.get("how") == "measured" else None
    rebuilt = build_package(quantized, options, reporter, decided)[1]
    unknown = {}
    if recipe.count_clips:
        reporter.phase("count clips")
        rebuilt = with_clips_of(rebuilt, package) if answered is None else with_usual_clips(rebuilt, answered)
        unknown = (
            {"manifest clips": "what is usual was learnt from samples; name them with --calib"}
            if answered is None
            else {}
        )
    reporter.phase("compare")
    info = rebuilt.info | ({"calibration_samples": samples} if "calibration_samples" in package.info else {})
    found = compared(archive.read(path), replace(rebuilt, info=info))
    return replace(found, left_out=found.left_out | unknown)


def compared(contents: archive.Contents, rebuilt: Package) -> RebuildComparison:
    """A package's file, and what was made from its sources."""
    text, members = rebuilt.written()
    theirs, ours, different = parsed(contents.text), parsed(text), {}
    left_out: dict[str, str] = {}
    if not rebuilt.selftest:
        left_out |= {
            name: "no variant runs on this machine" for name in contents.members if name.endswith("selftest.npz")
        }
    for name in sorted(contents.members.keys() | members.keys()):
        if name in left_out:
            continue
        a, b = contents.members.get(name), members.get(name)
        if a != b:
            different[name] = (
                "is missing"
                if a is None
                else "is not made from these sources"
                if b is None
                else f"{_differing(a, b)} of {len(a)} bytes differ"
            )
    for name in MEASURED:
        ours["info"].pop(name, None)
        if theirs["info"].pop(name, None) is not None:
            left_out[f"info.{name}"] = "was measured"
    told, found = (side["info"].pop("self_test", None) for side in (theirs, ours))
    if told != found:
        left_out["info.self_test"] = "the referee is not asked again"
    theirs.pop("members"), ours.pop("members")  # The members were compared above.
    for field in sorted(theirs.keys() | ours.keys()):
        if theirs.get(field) != ours.get(field):
            parts = (
                [
                    key
                    for key in sorted(theirs[field].keys() | ours[field].keys())
                    if theirs[field].get(key) != ours[field].get(key)
                ]
                if isinstance(theirs.get(field), dict) and isinstance(ours.get(field), dict)
                else []
            )
            different[f"manifest {field}"] = f"differs in {', '.join(parts)}" if parts else "differs"
    return RebuildComparison(
        tuple(name for name in sorted(members) if name not in different and name not in left_out), different, left_out
    )


def _differing(a, b):
    return sum(x != y for x, y in zip(a, b)) + abs(len(a) - len(b))


def _policy_of(package):
    """The --policy that gives the same graph again."""
    if package.info.get("policy") is not None:
        return "fastest"
    return "int8" if package.info["operators"]["int8"] or not package.variants[0].backend.estimates else "float"


def _recipe_of(path, values):
    """The recipe that a manifest holds. Raises PackageError where this version has another idea of one."""
    unknown = sorted(values.keys() - {field.name for field in fields(Recipe)})
    try:
        if unknown:
            raise ValueError(f"{unknown[0]} is unknown")
        return msgspec.convert(values, Recipe)
    except (msgspec.ValidationError, ValueError, OctetError) as error:
        raise PackageError(
            f"{path}: its recipe is not of this version ({error}); take the octet that wrote it"
        ) from error
