"""With what a package of several shapes pads arrays that lie between two: what the user said, else 0 where that is
proved to change no result."""

import warnings
from dataclasses import replace

import numpy as np

from ...passes.frontend.model import Model
from ...passes.lower.batch.padding_proof import why_padding_shows
from ...targets import detect
from ...targets.errors import OctetWarning
from ...targets.package import Package
from ...targets.shaped.dimensions import Dimension, dimensions
from ...targets.shaped.session import ShapedSession
from ..metrics import METRICS
from ..random_inputs import random_inputs

# Int8 results of two lengths may differ in single steps: sums of whole numbers are exact, but sums of floats are not.
_LEAST_DB = 30.0


def with_pads(model: Model, package: Package) -> Package:
    """The package with its `pads`, and info["padding"], why: {"proved": whether on the graph, "reason": the operator
    that forbids it, or None}.

    model: canonical fp32, with the pads that the user said. The proof is of fp32, so the compiled code is measured
    too, where it runs: it warns where padding changes what the user said does not change, and does not pad by itself
    then."""
    shapes = sorted(model.shapes, key=lambda shape: sum(spec.nbytes for spec in shape.inputs))
    found = dimensions([shape.inputs for shape in model.shapes], [shape.outputs for shape in model.shapes])
    pads = dict(model.pads) or {name: 0 for dimension in found for name, _ in dimension.inputs}
    reason = _why_not(shapes, found, pads)
    trial = replace(package, pads=pads)
    if (reason is None or model.pads) and any(not detect.missing(variant.features) for variant in package.variants):
        changed = _changed(trial, found)
        if changed is not None and model.pads:
            warnings.warn(
                f"--pad {', '.join(f'{name}={value:g}' for name, value in pads.items())}: {changed}",
                OctetWarning,
                stacklevel=2,
            )
        reason = reason or changed
    kept = pads if reason is None or model.pads else {}
    return replace(package, pads=kept, info=package.info | {"padding": {"proved": reason is None, "reason": reason}})


def _why_not(shapes, dimensions: list[Dimension], pads) -> str | None:
    """shapes: Models, the smallest first."""
    if not all(dimension.cuts for dimension in dimensions):
        return "an output has an extent that no input has"
    for small, large in zip(shapes, shapes[1:]):
        reason = why_padding_shows(small.module, large.module, pads)
        if reason is not None:
            return reason
    return None


def _changed(package: Package, dimensions: list[Dimension]) -> str | None:
    """The output of which the compiled package gives something else for padded arrays, if there is one: every shape
    against the smallest one that is larger in all its extents. Whole numbers are 1: a word, and a mask that keeps
    it."""
    with package.session(1) as session:
        assert isinstance(session, ShapedSession), "whoever asks has several shapes"
        for number, small in enumerate(session.shapes):
            larger = [
                i
                for i in range(len(session.shapes))
                if all(dimension.extents[number] < dimension.extents[i] for dimension in dimensions)
            ]
            if not larger:
                continue
            large = session.shapes[min(larger, key=lambda i: sum(spec.nbytes for spec in session.shapes[i].inputs))]
            feed = {
                name: array if array.dtype.kind == "f" else np.ones_like(array)
                for name, array in random_inputs(small.inputs).items()
            }
            whole = {spec.name: _larger(feed[spec.name], spec, package.pads) for spec in large.inputs}
            wanted, given = small.run(feed), large.run(whole)
            for spec in small.outputs:
                exact, value = wanted[spec.name], given[spec.name][tuple(map(slice, spec.shape))]
                decibels = METRICS["sqnr"].score(value, exact) if exact.size else _LEAST_DB
                if decibels < _LEAST_DB:
                    return f"padding changes output {spec.name!r}: {decibels:.1f} dB are left of it"
    return None


def _larger(array, spec, pads):
    made = np.full(spec.shape, pads.get(spec.name, 0), spec.dtype)
    made[tuple(map(slice, array.shape))] = array
    return made
