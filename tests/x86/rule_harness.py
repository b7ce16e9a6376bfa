"""A small network of one or a few operators, compiled for x86 and compared with the NumPy referee."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tvm import relax

from octet.passes.lower.build import build_variant
from octet.passes.referee.reference import run
from octet.targets import detect
from octet.targets.variant import TensorSpec

sys.path.insert(0, str(Path(__file__).parent))
from here import session_here


def network(shapes: dict[str, tuple], body: Callable):
    """An IRModule: float32 inputs of `shapes`, outputs body(builder, *inputs) (one expression or a list)."""
    builder = relax.BlockBuilder()
    params = [relax.Var(name, relax.TensorType(list(shape), "float32")) for name, shape in shapes.items()]
    with builder.function("main", params):
        with builder.dataflow():
            results = body(builder, *params)
            results = [builder.emit(r) for r in (results if isinstance(results, list) else [results])]
            output = builder.emit_output(relax.Tuple(results))  # The passes leave it so.
        builder.emit_func_output(output)
    return builder.get()


def samples(shapes, seed=0):
    rng = np.random.default_rng(seed)
    return {name: (rng.standard_normal(shape) * 3).astype(np.float32) for name, shape in shapes.items()}


def build(module, inputs, target="native", **options):
    """The Variant of a network whose outputs are called out0, out1, ... options: of `build_variant`."""
    main = module["main"]
    ins = tuple(TensorSpec(name, array.shape, str(array.dtype)) for name, array in inputs.items())
    fields = main.ret_ty.fields
    outs = tuple(
        TensorSpec(f"out{i}", tuple(int(d) for d in field.shape.values), str(field.dtype))
        for i, field in enumerate(fields)
    )
    return build_variant(module, detect.resolve(target), ins, outs, **options)


def compiled(module, inputs, target="native"):
    """(outputs, operators that had no kernel)."""
    variant = build(module, inputs, target)
    results = session_here(variant).run(inputs)
    return [results[spec.name] for spec in variant.outputs], variant.extra["fallbacks"]


def check(shapes, body, target="native", fallbacks=(), tolerance=0.0, seed=0):
    """Asserts that the compiled network equals the referee: byte for byte, or within `tolerance` (relative and
    absolute)."""
    module, inputs = network(shapes, body), samples(shapes, seed)
    got, without = compiled(module, inputs, target)
    assert list(without) == list(fallbacks), without
    for actual, wanted in zip(got, run(module, inputs), strict=True):
        assert actual.shape == wanted.shape and actual.dtype == wanted.dtype, (actual.shape, wanted.shape, actual.dtype)
        if tolerance == 0.0:
            np.testing.assert_array_equal(actual, wanted)
        else:
            np.testing.assert_allclose(actual, wanted, rtol=tolerance, atol=tolerance)


def check_all(cases: dict[str, tuple], target="native", tolerances=(), fallbacks=()):
    """`check` of {name: (shapes, body)} as one network, which is one compilation; failures are named. tolerances:
    {name: tolerance} of those that are not exact."""
    shapes = {f"{name}/{one}": shape for name, (given, _) in cases.items() for one, shape in given.items()}
    owners = []

    def body(builder, *params):
        results, left = [], iter(params)
        for name, (given, made) in cases.items():
            found = made(builder, *(next(left) for _ in given))
            found = [builder.emit(one) for one in (found if isinstance(found, list) else [found])]
            owners.extend([name] * len(found))
            results += found
        return results

    module, inputs = network(shapes, body), samples(shapes)
    got, without = compiled(module, inputs, target)
    assert sorted(set(without)) == sorted(set(fallbacks)), without
    wrong = {}
    for name, actual, wanted in zip(owners, got, run(module, inputs), strict=True):
        limit = dict(tolerances).get(name, 0.0)
        same = actual.shape == wanted.shape and actual.dtype == wanted.dtype
        if not same or not np.allclose(actual, wanted, limit, limit, equal_nan=True):  # With limit 0 they are equal.
            wrong[name] = (
                int((actual != wanted).sum()) if same else (actual.shape, actual.dtype, wanted.shape, wanted.dtype)
            )
    assert not wrong, f"elements that differ from the referee's, by case: {wrong}"


def quantize(builder, value, scale=0.05, zero_point=3):
    return builder.emit(
        relax.op.quantize(
            value, relax.const(scale, "float32"), relax.const(zero_point, "int8"), axis=-1, out_dtype="int8"
        )
    )


def dequantize(builder, value, scale=0.05, zero_point=3):
    return builder.emit(
        relax.op.dequantize(value, relax.const(scale, "float32"), relax.const(zero_point, "int8"), axis=-1)
    )
