"""The integer graph of a package in plain NumPy, on the inputs of its self-test, against the recorded bytes: wherever
that takes seconds, wherever tuning records were applied, and for compile-model --referee."""

import time

import numpy as np
from tvm import IRModule, relax

from ...passes.calibrate.quantize import Quantized
from ...passes.export.evaluate import evaluate
from ...passes.multiply_adds import multiply_adds
from ...passes.pipeline import to_integers
from ...passes.realize.promise import LEAST_DB, TOLERANCE, promises
from ...passes.referee.reference import operators_handed_on, run
from ...passes.rewriting.dataflow_graph import DataflowGraph
from ...passes.running import unwatched
from ...targets.batches import meant
from ...targets.errors import OctetError
from ...targets.package import Package
from ..metrics import METRICS

# A network's self-test is compared without being asked for up to so many multiply-adds in int8, which take some
# seconds; one in float counts as several.
_MOST, _FLOAT = 1 << 34, 20
# Of whole numbers or truth values behind close floats this part may differ, as in an argmax of two equals.
_APART = 0.01


def compare_with_referee(quantized: Quantized, package: Package) -> dict:
    """Compares the self-test of a package with the referee's answers.

    {"outputs": how many, "bytes": of the outputs whose bytes are promised, which are equal, "close": {output:
    {"within": the figure of its promise, "because":
    operator}}, "others": operators that ONNX's own evaluator computed, "equal": whether all bytes are, "seconds": of
    the interpreter}.

    The self-test holds what the compiled variants answer, which agree among each other already. Raises AssertionError
    where an output is not what passes/realize/promise.py promises (a bug), OctetError for a package without a self-test
    or an operator that neither reference knows."""
    if not package.selftest:
        raise OctetError(
            "--referee: none of the targets runs on this machine, so there are no answers to compare; add --target "
            "native"
        )
    module = _module(quantized)
    start = time.perf_counter()
    results, compiled = _answers(module, package)
    equal, close = 0, {}
    for spec, promise, ours, theirs in zip(package.outputs, promises(module), compiled, results, strict=True):
        if spec.counted is not None and ours.shape != theirs.shape and promise.kind != "bytes":
            close[spec.name] = {
                "within": f"{list(ours.shape)} where the referee has {list(theirs.shape)}",
                "because": promise.because,
            }
            continue
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype, (
            f"output {spec.name}: {ours.dtype}{ours.shape}, the referee {theirs.dtype}{theirs.shape}"
        )
        if promise.kind == "bytes":
            differs = sum(a != b for a, b in zip(ours.tobytes(), theirs.tobytes()))
            if differs and _rounds_nan(module, package):
                raise OctetError(
                    "--referee: of the self-test's inputs the network makes NaN (a mask without a place, a length of "
                    "0?), whose int8 code is open, so there is nothing to compare"
                )
            assert not differs, f"output {spec.name}: {differs} of {ours.nbytes} bytes differ from the referee"
            equal += ours.nbytes
        else:
            close[spec.name] = {"within": _within(spec.name, promise, ours, theirs), "because": promise.because}
    return {
        "equal": not close,
        "outputs": len(compiled),
        "bytes": equal,
        "close": close,
        "others": operators_handed_on(module),
        "seconds": round(time.perf_counter() - start, 1),
    }


def compare_all(quantized: Quantized, package: Package) -> dict:
    """The same for every shape: of the first one, with the sums of all shapes in "bytes" and "seconds", and "shapes",
    how many."""
    found = [compare_with_referee(hub, shape) for hub, shape in zip(quantized.shapes, package.shapes, strict=True)]
    return found[0] | {
        "bytes": sum(one["bytes"] for one in found),
        "seconds": round(sum(one["seconds"] for one in found), 1),
        "shapes": len(found),
    }


def _within(name, promise, ours, theirs) -> str:
    """The figure of a promise that is no promise of bytes."""
    if ours.dtype.kind != "f":
        apart = float(np.mean(ours != theirs)) if ours.size else 0.0
        assert apart <= _APART, (
            f"output {name}: {apart:.1%} of the elements differ from the referee, behind {promise.because}"
        )
        return f"{apart:.2%} of the elements"
    sound = np.isfinite(theirs)
    assert np.array_equal(ours[~sound], theirs[~sound], equal_nan=True) and np.isfinite(ours[sound]).all(), (
        f"output {name}: not finite in other places than the referee"
    )
    if promise.kind == "close":
        error = float(
            np.abs(ours[sound].astype(np.float64) - theirs[sound]).max(initial=0)
            / max(np.abs(theirs[sound]).max(initial=0), 1e-30)
        )
        assert error <= TOLERANCE, (
            f"output {name}: {error:.1e} of the largest magnitude from the referee, behind {promise.because}"
        )
        return f"{error:.1e} of the largest magnitude"
    decibels = METRICS["sqnr"].score(ours[sound], theirs[sound]) if sound.any() else np.inf
    assert decibels >= LEAST_DB, f"output {name}: {decibels:.1f} dB to the referee, behind {promise.because}"
    return f"{decibels:.1f} dB"


def agrees_with_referee(module: IRModule, package: Package) -> bool:
    """Whether the self-test's answers, which the code compiled of `module` gave, are the referee's: bytes where they
    are promised. A self-test recorded from kernels that compute wrong would call that right.

    Where tuning records were applied, it is asked whatever it takes, as they come from a file: raises OctetError where
    it answers otherwise or cannot. Else False for a network without a self-test, one beyond `_MOST` or with an operator
    that it leaves to ONNX's evaluator (which may take minutes), for floats further apart than it can vouch for, and
    where NaN is rounded, whose code is open; AssertionError where promised bytes differ (a bug)."""
    tuned = any(step.source not in ("", "default") for variant in package.variants for step in variant.steps)
    if not package.selftest:
        return False
    if not tuned and (operators_handed_on(module) or _effort(module) > _MOST):
        return False
    try:
        theirs, ours = _answers(module, package)
    except OctetError:
        if tuned:
            raise
        return False
    differ = [
        (spec.name, promise.kind)
        for spec, promise, *both in zip(package.outputs, promises(module), theirs, ours, strict=True)
        if _apart(promise, *both)
    ]
    if differ and tuned:
        raise OctetError(
            f"tuning records: with them output {differ[0][0]} is not what the network computes; compile without --db, "
            "and tune again into a new database"
        )
    wrong = [name for name, kind in differ if kind == "bytes"]
    if wrong and _rounds_nan(module, package):
        return False
    assert not wrong, f"output {wrong[0]}: other bytes than the referee's"
    return not differ


def _apart(promise, theirs, ours) -> bool:
    if promise.kind == "bytes":
        return ours.tobytes() != theirs.tobytes()
    return ours.shape != theirs.shape or not METRICS["sqnr"].score(ours, theirs) >= LEAST_DB


def _effort(module) -> int:
    """Multiply-adds, those of floats (added in order) as often as they take longer."""
    counts = [
        (multiply_adds(value), value)
        for _, value in DataflowGraph(module["main"]).bindings
        if isinstance(value, relax.Call)
    ]
    return sum(count * (1 if str(call.args[0].ty.dtype) == "int8" else _FLOAT) for count, call in counts if count)


def _module(quantized):
    with unwatched():
        return to_integers(quantized)[1]


def _rounds_nan(module, package) -> bool:
    """Whether a NaN is rounded to int8 on the way, as of a softmax whose mask keeps no place: fp32 has no answer there,
    and the contract none either."""
    met = []

    def seen(call, args) -> None:
        met.append(call.op.name == "relax.quantize" and bool(np.isnan(args[0]).any()))

    run(module, _inputs(package), evaluate, seen)
    return any(met)


def _inputs(package):
    return {spec.name: package.selftest[f"input/{spec.name}"] for spec in package.inputs}


def _answers(module, package):
    """(what the referee answers to the self-test's inputs, what the compiled variants do), by output."""
    found = run(module, _inputs(package), evaluate)
    results = meant(package.outputs, dict(zip((spec.name for spec in package.outputs), found, strict=True)))
    return list(results.values()), [package.selftest[f"output/{spec.name}"] for spec in package.outputs]
