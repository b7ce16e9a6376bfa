"""The integer graph of a package in plain NumPy, on the inputs of its self-test, against the recorded bytes: compile-model --referee, and wherever tuning records
were applied."""

import time

from ...passes.calibrate.quantize import Quantized
from ...passes.realize.realize import realize
from ...passes.realize.reference import run
from ...passes.realize.use_bfloat16 import with_float_layers
from ...targets.errors import OctetError
from ...targets.package import Package
from ..metrics import METRICS

_LEAST_DB = 30.0  # of float layers against the referee: another order of sums flips single bytes behind them, a wrong kernel leaves nothing of the signal


def compare(quantized: Quantized, package: Package) -> dict:
    """{"equal": True, "outputs": how many, "bytes": of all of them, "seconds": of the interpreter}.

    The self-test holds what the compiled variants answer, which agree among each other already. Raises AssertionError where a byte differs (a bug),
    OctetError for a package without a self-test."""
    if not package.selftest:
        raise OctetError("--referee: none of the targets runs on this machine, so there are no answers to compare; add --target native")
    module = _module(quantized)
    start = time.perf_counter()
    results, compiled = _answers(module, package)
    for spec, ours, theirs in zip(package.outputs, compiled, results, strict=True):
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype, f"output {spec.name}: {ours.dtype}{ours.shape}, the referee {theirs.dtype}{theirs.shape}"
        differs = sum(a != b for a, b in zip(ours.tobytes(), theirs.tobytes()))
        assert not differs, f"output {spec.name}: {differs} of {ours.nbytes} bytes differ from the referee"
    return {"equal": True, "outputs": len(compiled), "bytes": sum(a.nbytes for a in compiled), "seconds": round(time.perf_counter() - start, 1)}


def check_tuned(quantized: Quantized, package: Package) -> None:
    """Records come from a file, and a self-test recorded from kernels that compute wrong would call that right: where a record was applied, the referee
    must give the same answers, bytes without float layers, whose sums are made in any order. Raises OctetError where it does not."""
    steps = [step for variant in package.variants for step in variant.steps]
    if not package.selftest or all(step.source in ("", "default") for step in steps):
        return
    exact = all(step.dtype == "int8" for step in steps if step.macs)
    for spec, theirs, ours in zip(package.outputs, *_answers(_module(quantized), package), strict=True):
        if ours.tobytes() != theirs.tobytes() if exact else METRICS["sqnr"].score(ours, theirs) < _LEAST_DB:
            raise OctetError(f"tuning records: with them output {spec.name} is not what the network computes; compile without --db, and tune again into a new database")


def _module(quantized):
    return with_float_layers(realize(quantized.module).module, quantized.recipe.floats)


def _answers(module, package):
    """(what the referee answers to the self-test's inputs, what the compiled variants do), by output."""
    results = run(module, {spec.name: package.selftest[f"input/{spec.name}"] for spec in package.inputs})
    return results, [package.selftest[f"output/{spec.name}"] for spec in package.outputs]
