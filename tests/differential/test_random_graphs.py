"""Random graphs against other implementations: in float against ONNX's evaluator (and ONNX Runtime where it is
installed), in int8 against the referee, by its promise.

OCTET_DIFFERENTIAL=500 runs that many seeds of each instead of a few; OCTET_DIFFERENTIAL_FIRST=1000 is the first of
them."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

import octet
from octet.passes.lower.batch.stretches import plan_stretches
from octet.passes.lower.build import build_variant
from octet.passes.realize.fuse_float import FuseFloat
from octet.targets import detect
from octet.targets.errors import UnsupportedModelError
from octet.targets.runtime import Session
from octet.tools.building.referee import compare_with_referee
from octet.tools.building.sessions import float_session

sys.path.insert(0, str(Path(__file__).parent))
from graphs import imported, saved
from random_generator import generate
from random_layers import EVERY, LAYERS

COUNT, FIRST = (
    int(os.environ.get(name, default)) for name, default in (("OCTET_DIFFERENTIAL", 6), ("OCTET_DIFFERENTIAL_FIRST", 0))
)
SEEDS = range(FIRST, FIRST + COUNT)
CLOSE = 1e-3  # In parts of the largest magnitude, chains of float operators that round differently stay within this.


def _model(case):
    """None where the network is refused: by one line, which is a right answer, if a rare one."""
    try:
        return imported(case.proto)
    except UnsupportedModelError as error:
        assert "\n" not in str(error)
        return None


def _agrees(who, got, want):
    assert list(got) == list(want), who
    for name, wanted in want.items():
        mine = got[name]
        assert mine.shape == wanted.shape and mine.dtype == wanted.dtype, (
            f"{who}, {name}: {mine.dtype}{mine.shape}, not {wanted.dtype}{wanted.shape}"
        )
        if wanted.dtype.kind == "f":
            scale = max(np.abs(wanted).max(), 1.0)
            np.testing.assert_allclose(mine, wanted, rtol=0, atol=CLOSE * scale, err_msg=f"{who}, {name}")
        else:
            np.testing.assert_array_equal(mine, wanted, err_msg=f"{who}, {name}")


@pytest.mark.parametrize("seed", SEEDS)
def test_float_networks_give_the_values_of_onnx(seed):
    """At the best level, and of every third network at all levels that this machine runs."""
    case = generate(f"float {seed}", EVERY)
    model = _model(case)
    if model is None:
        pytest.skip("refused by one line")
    for spec in detect.runnable() if seed % 3 == 0 else [detect.native()]:
        _agrees(spec.name, float_session(model, 1 + seed % 2, spec.name).run(case.feed), case.want)


@pytest.mark.parametrize("seed", SEEDS)
def test_parts_of_a_batch_give_them_too(seed):
    """With a cache so small that whatever may run for some samples at a time does."""
    case = generate(f"parts {seed}", EVERY)
    model = _model(case)
    if model is None:
        pytest.skip("refused by one line")
    variant = build_variant(
        FuseFloat()(model.module),
        detect.native(),
        model.inputs,
        model.outputs,
        choose=lambda found: plan_stretches(found, l2=256),
    )
    _agrees("in parts", Session(variant, 1).run(case.feed), case.want)


@pytest.mark.parametrize("seed", SEEDS)
def test_onnx_runtime_agrees_with_the_values(seed):
    """The truth that the others are held against."""
    onnxruntime = pytest.importorskip("onnxruntime")
    case = generate(f"float {seed}", EVERY)
    try:
        session = onnxruntime.InferenceSession(case.proto.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception as error:
        if "NOT_IMPLEMENTED" in str(error):
            pytest.skip("ONNX Runtime has no kernel for an operator of this type")
        raise
    _agrees("onnxruntime", dict(zip(case.want, session.run(list(case.want), case.feed))), case.want)


@pytest.mark.parametrize("seed", SEEDS)
def test_int8_networks_equal_the_referee(seed):
    """Quantised on a few samples, built for every level: the levels agree among each other (the self-test sees to it)
    and with the referee."""
    case = generate(f"int8 {seed}", [*EVERY, *LAYERS, *LAYERS])
    model = _model(case)
    if model is None:
        pytest.skip("refused by one line")
    quantized = octet.quantize(model, case.samples, octet.Recipe(calibrator="max"))
    levels = [spec.name for spec in detect.runnable()] if seed % 3 == 0 else ["native"]
    compare_with_referee(quantized, octet.compile(quantized, targets=levels, policy="int8"))


def test_a_case_is_the_same_every_time(tmp_path):
    """A seed that fails can be looked at again."""
    first, second = (saved(generate("float 1", EVERY).proto, tmp_path / name).read_bytes() for name in "ab")
    assert first == second
