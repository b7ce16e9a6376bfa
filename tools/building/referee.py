"""The integer graph of a package in plain NumPy, on the inputs of its self-test, against the recorded bytes: compile-model --referee, and wherever tuning records
were applied."""

import time

import numpy as np

from ...passes.calibrate.quantize import Quantized
from ...passes.export.evaluate import evaluate
from ...passes.pipeline import to_integers
from ...passes.realize.promise import LEAST_DB, TOLERANCE, promises
from ...passes.realize.reference import operators_handed_on, run
from ...passes.running import unwatched
from ...targets.errors import OctetError
from ...targets.package import Package
from ...targets.samples import meant
from ..metrics import METRICS

_APART = 0.01  # of whole numbers or truth values behind floats that are close: an argmax of two equals


def compare(quantized: Quantized, package: Package) -> dict:
    """{"outputs": how many, "bytes": of the outputs whose bytes are promised, which are equal, "close": {output: {"within": the figure of its promise, "because":
    operator}}, "others": operators that ONNX's own evaluator computed, "equal": whether all bytes are, "seconds": of the interpreter}.

    The self-test holds what the compiled variants answer, which agree among each other already. Raises AssertionError where an output is not what
    passes/realize/promise.py promises (a bug), OctetError for a package without a self-test or an operator that neither reference knows."""
    if not package.selftest:
        raise OctetError("--referee: none of the targets runs on this machine, so there are no answers to compare; add --target native")
    module = _module(quantized)
    start = time.perf_counter()
    results, compiled = _answers(module, package)
    equal, close = 0, {}
    for spec, promise, ours, theirs in zip(package.outputs, promises(module), compiled, results, strict=True):
        if spec.counted is not None and ours.shape != theirs.shape and promise.kind != "bytes":
            close[spec.name] = {"within": f"{list(ours.shape)} where the referee has {list(theirs.shape)}", "because": promise.because}
            continue
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype, f"output {spec.name}: {ours.dtype}{ours.shape}, the referee {theirs.dtype}{theirs.shape}"
        if promise.kind == "bytes":
            differs = sum(a != b for a, b in zip(ours.tobytes(), theirs.tobytes()))
            assert not differs, f"output {spec.name}: {differs} of {ours.nbytes} bytes differ from the referee"
            equal += ours.nbytes
        else:
            close[spec.name] = {"within": _within(spec.name, promise, ours, theirs), "because": promise.because}
    return {"equal": not close, "outputs": len(compiled), "bytes": equal, "close": close, "others": operators_handed_on(module), "seconds": round(time.perf_counter() - start, 1)}


def compare_all(quantized: Quantized, package: Package) -> dict:
    """The same for every shape: of the first one, with the sums of all shapes in "bytes" and "seconds", and "shapes", how many."""
    found = [compare(hub, shape) for hub, shape in zip(quantized.shapes, package.shapes, strict=True)]
    return found[0] | {"bytes": sum(one["bytes"] for one in found), "seconds": round(sum(one["seconds"] for one in found), 1), "shapes": len(found)}


def _within(name, promise, ours, theirs) -> str:
    """The figure of a promise that is no promise of bytes."""
    if ours.dtype.kind != "f":
        apart = float(np.mean(ours != theirs)) if ours.size else 0.0
        assert apart <= _APART, f"output {name}: {apart:.1%} of the elements differ from the referee, behind {promise.because}"
        return f"{apart:.2%} of the elements"
    sound = np.isfinite(theirs)
    assert np.array_equal(ours[~sound], theirs[~sound], equal_nan=True) and np.isfinite(ours[sound]).all(), f"output {name}: not finite in other places than the referee"
    if promise.kind == "close":
        error = float(np.abs(ours[sound].astype(np.float64) - theirs[sound]).max(initial=0) / max(np.abs(theirs[sound]).max(initial=0), 1e-30))
        assert error <= TOLERANCE, f"output {name}: {error:.1e} of the largest magnitude from the referee, behind {promise.because}"
        return f"{error:.1e} of the largest magnitude"
    decibels = METRICS["sqnr"].score(ours[sound], theirs[sound]) if sound.any() else np.inf
    assert decibels >= LEAST_DB, f"output {name}: {decibels:.1f} dB to the referee, behind {promise.because}"
    return f"{decibels:.1f} dB"


def check_tuned(quantized: Quantized, package: Package) -> bool:
    """Whether its answers were compared with the referee's. Records come from a file, and a self-test recorded from kernels that compute wrong would call that right: where a record was applied, the referee
    must give the same answers, bytes where they are promised. Raises OctetError where it does not."""
    steps = [step for variant in package.variants for step in variant.steps]
    if not package.selftest or all(step.source in ("", "default") for step in steps):
        return False
    module = _module(quantized)
    for spec, promise, theirs, ours in zip(package.outputs, promises(module), *_answers(module, package), strict=True):
        if ours.tobytes() != theirs.tobytes() if promise.kind == "bytes" else METRICS["sqnr"].score(ours, theirs) < LEAST_DB:
            raise OctetError(f"tuning records: with them output {spec.name} is not what the network computes; compile without --db, and tune again into a new database")
    return True


def _module(quantized):
    with unwatched():
        return to_integers(quantized)[1]


def _answers(module, package):
    """(what the referee answers to the self-test's inputs, what the compiled variants do), by output."""
    results = run(module, {spec.name: package.selftest[f"input/{spec.name}"] for spec in package.inputs}, evaluate)
    results = meant(package.outputs, dict(zip((spec.name for spec in package.outputs), results, strict=True)))
    return list(results.values()), [package.selftest[f"output/{spec.name}"] for spec in package.outputs]
