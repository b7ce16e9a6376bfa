"""compile-model --referee."""

import json
from dataclasses import replace

import numpy as np
import pytest

from octet import api
from octet.passes.pipeline import to_integers
from octet.targets.errors import OctetError
from octet.tools.building import referee
from octet.tools.building.referee import agrees_with_referee, compare_with_referee


def test_the_package_equals_the_referee(small, octet, tmp_path):
    printed = octet(
        "compile",
        small / "small.onnx",
        "--calib",
        small / "calib.npz",
        "-o",
        tmp_path / "s.octet",
        "--referee",
        "--json",
        tmp_path / "s.json",
    )
    report = json.loads((tmp_path / "s.json").read_text())
    assert (
        report["referee"]["equal"]
        and report["referee"]["bytes"] == 5 * 4
        and "all 20 bytes of 1 outputs equal" in printed
    )
    assert "self-test: compared with the referee in NumPy" in octet("inspect", tmp_path / "s.octet")
    assert (
        report["multiply_adds"] == {"int8": 64 * (8 * 27 + 8 * 9 + 12 * 72) + 60, "float": 0}
        and "100.00% in int8" in printed
    )


def test_other_bytes_are_a_bug(small):
    quantized = api.quantize(api.load_onnx(small / "small.onnx"), small / "calib.npz", threads=1)
    package = api.compile(quantized)
    wrong = {
        name: array + np.float32(1e-3) if name.startswith("output/") else array
        for name, array in package.selftest.items()
    }
    with pytest.raises(AssertionError, match="output y: [0-9]+ of 20 bytes differ from the referee"):
        compare_with_referee(quantized, replace(package, selftest=wrong))
    with pytest.raises(OctetError, match="--target native"):
        compare_with_referee(quantized, replace(package, selftest={}))
    missing = {name: array * np.nan if name.startswith("input/") else array for name, array in wrong.items()}
    with pytest.raises(OctetError, match="makes NaN"):
        compare_with_referee(quantized, replace(package, selftest=missing))
    assert not agrees_with_referee(to_integers(quantized)[1], replace(package, selftest=missing))


def test_a_self_test_that_would_take_minutes_is_not_compared(small, monkeypatch):
    monkeypatch.setattr(referee, "_MOST", 100)
    package = api.compile(api.quantize(api.load_onnx(small / "small.onnx"), small / "calib.npz", threads=1))
    assert package.info["self_test"] == {"by": "compiled"}


def test_records_that_make_other_answers_are_refused(small):
    """A self-test is not recorded from kernels that a record made without the referee's word for it."""
    quantized = api.quantize(api.load_onnx(small / "small.onnx"), small / "calib.npz", threads=1)
    package = api.compile(quantized)
    wrong = replace(
        package,
        selftest={name: -array if name.startswith("output/") else array for name, array in package.selftest.items()},
    )
    module = to_integers(quantized)[1]
    assert package.info["self_test"] == {"by": "referee"} and not agrees_with_referee(
        module, replace(package, selftest={})
    )
    with pytest.raises(AssertionError, match="output y: other bytes than the referee's"):
        agrees_with_referee(module, wrong)
    for sources, dtype in (("record 1", "int8"), ("record 1", "float32")):
        steps = tuple(
            replace(step, source=sources, dtype=dtype) if step.macs else step for step in package.variants[0].steps
        )
        tuned = {"variants": (replace(package.variants[0], steps=steps),)}
        assert agrees_with_referee(module, replace(package, **tuned))
        with pytest.raises(OctetError, match="output y is not what the network computes"):
            agrees_with_referee(module, replace(wrong, **tuned))
