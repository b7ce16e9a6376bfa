"""The times of a network's regions in int8 and in float: measured kernel by kernel on this machine, or by the cost
model."""

from math import prod

import numpy as np
from tvm import relax

from ...passes.lower.build import build_variant
from ...passes.policy.choose_regions import Times
from ...passes.policy.regions import Regions
from ...targets.opening import open_session
from ...targets.variant import TensorSpec, Variant
from ...targets.x86 import cost
from ..random_inputs import random_inputs
from ..timing import interleaved

_CONVERSIONS = ("relax.quantize", "relax.dequantize")
_ROUNDS, _PASSES = 5, 5
_LADDER = 8  # Conversions are measured for tensors of so many sizes, and those between are interpolated.
_NEAR = 0.7  # A region whose int8 takes less than this part of float's time does not ask what its conversions cost.


def measured_times(
    regions: Regions, int8: frozenset[int], integer: Variant, real: Variant, model, spec, threads
) -> Times:
    """The times of regions in int8 and in float, and of conversions between them, by measurement.

    integer, real: the network in int8 and in float, built for `spec`, which runs here. Kernels of both are timed in
    turns; the fastest round counts."""
    sessions = [open_session(variant, threads=threads) for variant in (integer, real)]
    profiles = _profiles(sessions, random_inputs(model.inputs))
    kernels = [_by_region(regions, profile) for profile in profiles]
    known = {step.layer: seconds for step, seconds in profiles[0] if step.operator in _CONVERSIONS}
    near = {number for number in int8 if kernels[0][number] > _NEAR * kernels[1][number]}
    asked = [t for t in regions.tensors if t.producer in near or t.readers & near]
    curves = _conversion_curves(asked, spec, threads) if asked else ((), (), ())
    quantize = tuple(known.get(t.code.name, _between(prod(t.shape), curves[0], curves[1])) for t in regions.tensors)
    dequantize = tuple(
        next((known[real.name] for real in t.real if real.name in known), _between(prod(t.shape), curves[0], curves[2]))
        for t in regions.tensors
    )
    return Times(
        tuple(s if number in int8 else None for number, s in enumerate(kernels[0])),
        tuple(kernels[1]),
        quantize,
        dequantize,
    )


def estimated_times(regions: Regions, int8: frozenset[int], integer, real, estimate, dot: str) -> Times:
    """The times of regions in int8 and in float, and of conversions, by a cost model.

    integer, real: modules that would be built. estimate(module) -> (layer, operator, seconds) of every call."""
    kernels = []
    for module in (integer, real):
        sums = [0.0] * len(regions.members)
        for layer, operator, seconds in estimate(module):
            if operator not in _CONVERSIONS and layer in regions.of_layer:
                sums[regions.of_layer[layer]] += seconds
        kernels.append(sums)
    convert = tuple(cost.seconds(dot, "float32", 0, 5 * prod(t.shape)) for t in regions.tensors)
    return Times(
        tuple(s if number in int8 else None for number, s in enumerate(kernels[0])), tuple(kernels[1]), convert, convert
    )


def compare_times(integer: Variant, mixed: Variant, threads) -> dict:
    """Milliseconds of both, in interleaved rounds."""
    sessions = {"int8_ms": open_session(integer, threads=threads), "chosen_ms": open_session(mixed, threads=threads)}
    feed = random_inputs(sessions["int8_ms"].inputs)
    found = interleaved(
        {name: lambda session=session: session.run(feed) for name, session in sessions.items()},
        rounds=6,
        round_seconds=0.1,
    )
    return {name: latency.best for name, latency in found.items()}


def _profiles(sessions, feed):
    """[(step, seconds)] of each."""
    rounds = [[session.profile(feed, _PASSES) for session in sessions] for _ in range(_ROUNDS)]
    best = []
    for column in range(len(sessions)):
        seconds = np.min([[s for _, s in made[column]] for made in rounds], axis=0)
        best.append([(step, s) for (step, _), s in zip(rounds[0][column], seconds.tolist())])
    return best


def _by_region(regions, profile):
    """Seconds of the kernels of each region; conversions are counted by themselves."""
    sums = [0.0] * len(regions.members)
    for step, seconds in profile:
        if step.operator not in _CONVERSIONS and step.layer in regions.of_layer:
            sums[regions.of_layer[step.layer]] += seconds
    return sums


def _conversion_curves(tensors, spec, threads):
    """(elements, seconds to quantise, seconds to dequantise) of a ladder of sizes, elements ascending."""
    shapes = sorted({t.shape for t in tensors if len(t.shape) in (2, 3, 4)}, key=prod)
    if not shapes:
        return (), (), ()
    steps = np.unique(np.linspace(0, len(shapes) - 1, min(_LADDER, len(shapes))).round().astype(int))
    shapes = [shapes[i] for i in steps]
    module, inputs, outputs = _conversions(shapes)
    session = open_session(build_variant(module, spec, inputs, outputs, "conversions"), threads=threads)
    (profile,) = _profiles([session], random_inputs(inputs))
    seconds = {(step.operator, step.layer): s for step, s in profile}
    rows = sorted(
        (prod(shape), seconds["relax.quantize", f"q{i}"], seconds["relax.dequantize", f"d{i}"])
        for i, shape in enumerate(shapes)
    )
    return tuple(zip(*rows))


def _conversions(shapes):
    """Every shape behind a ReLU, which gives it the kernels' layout, quantised, moved by one operator and
    dequantised."""
    builder = relax.BlockBuilder()
    params = [relax.Var(f"x{i}", relax.TensorType(shape, "float32")) for i, shape in enumerate(shapes)]
    scale, zero_point = relax.const(np.float32(0.05)), relax.const(np.int8(3))
    with builder.function("main", params):
        with builder.dataflow():
            results = []
            for i, param in enumerate(params):
                x = builder.emit(relax.op.nn.relu(param), f"r{i}")
                q = builder.emit(relax.op.quantize(x, scale, zero_point, axis=-1, out_dtype="int8"), f"q{i}")
                results.append(builder.emit(relax.op.dequantize(q, scale, zero_point, axis=-1), f"d{i}"))
            outputs = builder.emit_output(relax.Tuple(results))
        builder.emit_func_output(outputs)
    specs = [[TensorSpec(f"{prefix}{i}", shape, "float32") for i, shape in enumerate(shapes)] for prefix in "xy"]
    return builder.get(), tuple(specs[0]), tuple(specs[1])


def _between(elements, sizes, seconds):
    """By the line through the neighbouring sizes; beyond the ends in proportion."""
    if not sizes:
        return cost.KERNEL_SECONDS
    if elements > sizes[-1]:
        return seconds[-1] * elements / sizes[-1]
    return float(np.interp(elements, sizes, seconds))
