"""compile-model --referee: the integer graph of a package in plain NumPy, on the inputs of its self-test, against the recorded bytes."""

import time

from ...passes.calibrate.quantize import Quantized
from ...passes.realize.realize import realize
from ...passes.realize.reference import run
from ...passes.realize.use_bfloat16 import with_float_layers
from ...targets.errors import OctetError
from ...targets.package import Package


def compare(quantized: Quantized, package: Package) -> dict:
    """{"equal": True, "outputs": how many, "bytes": of all of them, "seconds": of the interpreter}.

    The self-test holds what the compiled variants answer, which agree among each other already. Raises AssertionError where a byte differs (a bug),
    OctetError for a package without a self-test."""
    if not package.selftest:
        raise OctetError("--referee: none of the targets runs on this machine, so there are no answers to compare; add --target native")
    module = with_float_layers(realize(quantized.module).module, quantized.recipe.floats)
    start = time.perf_counter()
    results = run(module, {spec.name: package.selftest[f"input/{spec.name}"] for spec in package.inputs})
    compiled = [package.selftest[f"output/{spec.name}"] for spec in package.outputs]
    for spec, ours, theirs in zip(package.outputs, compiled, results, strict=True):
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype, f"output {spec.name}: {ours.dtype}{ours.shape}, the referee {theirs.dtype}{theirs.shape}"
        differs = sum(a != b for a, b in zip(ours.tobytes(), theirs.tobytes()))
        assert not differs, f"output {spec.name}: {differs} of {ours.nbytes} bytes differ from the referee"
    return {"equal": True, "outputs": len(compiled), "bytes": sum(a.nbytes for a in compiled), "seconds": round(time.perf_counter() - start, 1)}
