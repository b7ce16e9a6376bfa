"""Every kernel family on every level, the same bytes; packages of several levels."""

import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from tvm import relax

from octet.passes import ops
from octet.targets import detect, registry
from octet.targets.errors import PackageError
from octet.targets.package import Package
from octet.targets.runtime import Session
from octet.targets.x86.isa import UNITS, building_for, current

sys.path.insert(0, str(Path(__file__).parent))
from here import session_here
from rule_harness import build, dequantize, network, quantize, samples

from octet.passes.referee.reference import run

LEVELS = [spec for spec in registry.TARGETS.values() if spec.machine == "x86_64"]
SHAPES = {"x": (2, 37, 9, 10), "y": (2, 37, 9, 10), "q": (2, 19, 40), "k": (2, 40, 19)}
ADD = {
    "a_zero_point": 3,
    "b_zero_point": -4,
    "a_multiplier": 0.7,
    "b_multiplier": 1.1,
    "out_zero_point": 5,
    "clip_min": -120,
    "clip_max": 101,
}
POOL = {
    "pool_size": [3, 2],
    "strides": [1, 2],
    "padding": [1, 0, 2, 1],
    "count_include_pad": 0,
    "data_zero_point": 3,
    "multiplier": 0.8,
    "out_zero_point": 1,
    "clip_min": -100,
    "clip_max": 99,
}
REQUANTIZE = {"data_zero_point": 3, "multiplier": 0.77, "out_zero_point": -3, "clip_min": -50, "clip_max": 60}
MATMUL = {"multiplier": 0.003, "out_zero_point": 0, "clip_min": -120, "clip_max": 119, "out_dtype": "int8"}
AFFINE = MATMUL | {"a_zero_point": 9, "b_zero_point": -128}


def body(b, x, y, q, k):
    """Elementwise, tables, pooling, reformats, products of tensors, softmax and scalar functions."""
    left, right = quantize(b, x), quantize(b, y, zero_point=-4)
    table = relax.const(np.random.default_rng(0).permutation(256).astype("uint8").view("int8"))
    looked_up = b.emit(ops.call("octet.table", [left, table]))
    product = b.emit(ops.call("octet.matmul", [quantize(b, q, zero_point=0), quantize(b, k, zero_point=0)], **MATMUL))
    affine = b.emit(ops.call("octet.matmul", [quantize(b, q, zero_point=9), quantize(b, k, zero_point=-128)], **AFFINE))
    bytes_of = [
        b.emit(ops.call("octet.add", [left, right], **ADD)),
        b.emit(ops.call("octet.requantize", [looked_up], **REQUANTIZE)),
        b.emit(ops.call("octet.avg_pool2d", [left], **POOL)),
        b.emit(relax.op.nn.max_pool2d(left, [3, 3], [2, 2], [1, 1, 1, 1])),
        product,
        affine,
    ]
    soft = quantize(b, b.emit(relax.op.nn.softmax(dequantize(b, product, zero_point=0), -1)), 1 / 127, 0)
    floats = [b.emit(ops.call("octet.unary", [x], kind=kind)) for kind in ("exp", "tanh")]
    return [dequantize(b, value) for value in (*bytes_of, soft)] + floats


@pytest.fixture(scope="module")
def variants():
    """(level -> its variant, compiled on this machine when first asked for, whatever it can run; inputs; what the
    referee says)."""
    module, inputs = network(SHAPES, body), samples(SHAPES)
    return cache(lambda level: build(module, inputs, level)), inputs, run(module, inputs)


@pytest.mark.parametrize("spec", LEVELS, ids=lambda spec: spec.name)
def test_every_level_gives_the_same_bytes(spec, variants):
    built, inputs, wanted = variants
    found = session_here(built(spec.name)).run(inputs)
    for i, value in enumerate(wanted):
        np.testing.assert_array_equal(found[f"out{i}"], value, err_msg=f"output {i}")


def test_a_package_of_all_levels_gives_each_cpu_its_best(variants, monkeypatch):
    package = Package(tuple(variants[0](spec.name) for spec in LEVELS), {})
    expected = {"avx512_vnni": "avx512vnni", "avx_vnni": "avxvnni", "avx512f": "x86-64-v4", "avx2": "x86-64-v3"}
    for flag, name in expected.items():
        monkeypatch.setattr(detect, "cpu_features", lambda name=name: registry.find(name).features)
        assert flag in detect.cpu_features() and package.best().target == name
        for variant in package.variants:
            if variant.features <= detect.cpu_features():
                continue
            with pytest.raises(PackageError, match=f"{variant.target} needs"):
                package.best(variant.target)
            with pytest.raises(PackageError, match="CPU features that this machine lacks"):
                Session(variant)  # It is not loaded even when it is asked for.
    monkeypatch.setattr(detect, "cpu_features", lambda: frozenset({"sse2"}))
    with pytest.raises(PackageError, match="lacks features of every variant"):
        package.best()


def test_a_kernel_is_built_for_its_target():
    with building_for("madd256") as isa:
        assert current() == isa and (isa.parts, isa.lanes, isa.accumulators("int8")) == (2, 8, 6)
        with building_for("vnni"):
            assert current() == UNITS["vnni"]
        assert current() == isa
    with pytest.raises(LookupError):  # Nothing is assumed outside.
        current()
    assert all(spec.vector_bits == UNITS[spec.dot].bits for spec in LEVELS)


ROWS = [
    ((7, 2), (3,), "int32"),
    ((9, 17), (1, 6), "int64"),
    ((50, 100), (2, 3, 2), "int64"),
    ((33, 384), (1, 70), "int32"),
    ((5, 21), (), "int64"),
]


def rows(b, x):
    """Every case with indices in and beyond the table; behind one of them an operator that reads it as rows."""
    rng, results = np.random.default_rng(3), []
    for (rows, width), shape, dtype in ROWS:
        table = relax.const(rng.integers(-128, 128, (rows, width)).astype("int8"))
        scales = relax.const(rng.uniform(1e-3, 0.1, rows).astype("float32"))
        places = b.emit(relax.op.astype(b.emit(relax.op.multiply(x, relax.const(np.float32(rows)))), dtype))
        some = b.emit(relax.op.reshape(b.emit(relax.op.strided_slice(places, [0], [0], [int(np.prod(shape))])), shape))
        results.append(b.emit(ops.call("octet.embedding", [table, scales, some])))
    results.append(b.emit(relax.op.tanh(results[1])))
    return results


@pytest.fixture(scope="module")
def looked_up():
    module, inputs = network({"x": (70,)}, rows), {"x": np.linspace(-0.4, 1.4, 70).astype("float32")}
    return module, inputs, run(module, inputs)


@pytest.mark.parametrize("spec", LEVELS, ids=lambda spec: spec.name)
def test_rows_of_int8_tables(spec, looked_up):
    module, inputs, values = looked_up
    variant = build(module, inputs, spec.name)
    assert "octet.embedding" not in variant.extra["fallbacks"]
    found = session_here(variant).run(inputs)
    for i, value in enumerate(values):
        assert found[f"out{i}"].tobytes() == value.tobytes(), (i, value.shape)


def test_what_rows_mean():
    table, scales = np.array([[1, -2], [127, -128]], "int8"), np.array([0.5, 0.1], "float32")
    module = network(
        {"x": (3,)},
        lambda b, x: b.emit(
            ops.call("octet.embedding", [relax.const(table), relax.const(scales), b.emit(relax.op.astype(x, "int64"))])
        ),
    )
    (found,) = run(module, {"x": np.array([0, 1, 9], "float32")})
    np.testing.assert_array_equal(found, [[0.5, -1], *[np.array([127, -128], "float32") * np.float32(0.1)] * 2])
