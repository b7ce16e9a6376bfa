"""What a package notes beside its answers, as its recipe asks."""

from dataclasses import replace

import numpy as np

from ...passes.annotate.recipe import Recipe
from ...passes.calibrate.quantize import Quantized
from ...targets import detect
from ...targets.batches import feed_of
from ...targets.errors import OctetError, TargetError
from ...targets.opening import open_session
from ...targets.package import Package
from ...targets.watch.health import learnt
from ...targets.watch.inputs import usual_of
from ...targets.x86.emulation.emulated_variant import emulated

_ANSWERS = 512  # From so many answers on calibration samples it is learnt how many values are clipped.


def check_watched(specs, recipe: Recipe) -> None:
    """Raises TargetError for a target that cannot do what the recipe asks, before the first long phase."""
    gpu = next((spec for spec in specs if not spec.backend.watches), None)
    for option, asked in (("--self-check", recipe.self_check), ("--count-clips", recipe.count_clips)):
        if asked and gpu is not None:
            raise TargetError(
                f"target {gpu.name}: {option} is for CPUs; leave it out, or compile this target apart without it"
            )


def watched_as(quantized: Quantized, recipe: Recipe | None) -> Quantized:
    """A network that came quantised, with what the recipe says of how it runs."""
    return (
        quantized
        if recipe is None
        else replace(
            quantized,
            recipe=replace(
                quantized.recipe, self_check=recipe.self_check, count_clips=recipe.count_clips, io=recipe.io
            ),
        )
    )


def check_samples_for_clips(recipe: Recipe, samples, model) -> None:
    """Raises OctetError where the package is to know how many values calibration samples clip, and there are too few of
    them, or it has several shapes."""
    if recipe.count_clips and len(model.shapes) > 1:
        raise OctetError(
            "--count-clips: what is usual is learnt for one shape of the inputs; give one --dim or --shape, or leave "
            "it out"
        )
    if recipe.count_clips and (samples is None or len(next(iter(samples.values()))) < 2):
        raise OctetError(
            "--count-clips: needs at least two calibration samples, whose answers say how many clipped values are "
            "usual; add --calib DATA.npz"
        )


def with_usual_clips(package: Package, samples) -> Package:
    """The package, with the clipped values of answers on calibration samples, {input: array [N, ...]}. All variants
    compute the same bytes, so one of them is run.
    Raises OctetError where nothing of the network can clip."""
    if package.variants[0].words is None or not package.variants[0].words.clips:
        raise OctetError(
            "--count-clips: no operator of the network rounds a result to int8, so nothing can clip; leave it out"
        )
    able = [v for v in package.variants if not detect.missing(v.features)]
    session = open_session(max(able, key=lambda v: v.rank) if able else emulated(package.variants[0]))
    total, batch = len(next(iter(samples.values()))), session.batch
    starts = range(0, max(1, min(total, _ANSWERS * batch) - batch + 1), batch)
    rows = [np.minimum(np.arange(start, start + batch), total - 1) for start in starts]
    rows = rows if len(rows) > 1 else [*rows, rows[0]]
    healths = [session.run(feed_of(session.inputs, samples, some), health=True)[1] for some in rows]
    clips, limit = learnt(
        package.variants[0].words.clips, np.array([[one.clipped for one in health.tensors] for health in healths])
    )
    return _with_words(package, clips, limit, usual_of([health.inputs for health in healths]))


def with_clips_of(package: Package, other: Package) -> Package:
    """The package, with what is usual as `other` says, where both look at the same places."""
    theirs = other.variants[0].words
    return (
        _with_words(package, theirs.clips, theirs.limit, theirs.inputs)
        if theirs is not None and _places(theirs) == _places(package.variants[0].words)
        else package
    )


def _places(words):
    return [(clip.layer, clip.end, clip.values) for clip in words.clips], [
        (one.layer, one.values) for one in words.inputs
    ]


def _with_words(package, clips, limit, inputs):
    variants = tuple(
        replace(variant, words=replace(variant.words, clips=clips, limit=limit, inputs=inputs))
        for variant in package.variants
    )
    return replace(package, variants=variants)
