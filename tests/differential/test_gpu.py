"""The same kinds on a GPU, in the emulator: what other implementations leave open is defined there too."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import test_indices
import test_own_int8
from graphs import imported, make
from test_infinities import ROWS
from test_integer_arithmetic import operands


def _integers():
    nodes = [
        ("Div", "x y", "quotient", {}),
        ("Mod", "x y", "floored", {}),
        ("Mod", "x y", "rest", {"fmod": 1}),
        ("BitShift", "x y", "left", {"direction": "LEFT"}),
        ("BitShift", "x y", "right", {"direction": "RIGHT"}),
    ]
    feed = dict(zip("xy", operands("int32")))
    return make(nodes, feed, dict.fromkeys(("quotient", "floored", "rest", "left", "right"), "int32"), opset=28), feed


def _infinities():
    nodes, outputs = [("IsInf", "x", "above", {"detect_negative": 0})], {"above": "bool"}
    for axis in (0, 1):
        nodes += [
            ("ReduceMax", "x", f"high{axis}", {"axes": [axis]}),
            ("ReduceMin", "x", f"low{axis}", {"axes": [axis]}),
            ("ArgMax", "x", f"place{axis}", {"axis": axis}),
        ]
        outputs |= {f"high{axis}": "float32", f"low{axis}": "float32", f"place{axis}": "int64"}
    rows = ROWS + np.float32(0)  # Which of two zeros is the least is open, so all are positive.
    return make(nodes, {"x": rows}, outputs), {"x": rows}


def _indices():
    feed = {"x": test_indices.X} | test_indices.indices(lambda n: -(2**30), lambda n: 2**30)
    return make(test_indices.NODES, feed, test_indices.OUTPUTS), feed


def _own_int8():
    return make(
        test_own_int8.NODES, test_own_int8.FEED, test_own_int8.OUTPUTS, test_own_int8.CONSTANTS
    ), test_own_int8.FEED


@pytest.fixture(scope="module")
def harness():
    spec = importlib.util.spec_from_file_location("cuda_harness", Path(__file__).parents[1] / "cuda" / "harness.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["cuda_harness"] = module
    spec.loader.exec_module(module)
    return module


def test_every_kind_equals_the_referee(harness):
    """One compilation of all their kernels; memory right behind every buffer is forbidden."""
    cases = {make_case.__name__: make_case() for make_case in (_integers, _infinities, _indices, _own_int8)}
    modules = [imported(proto).module for proto, _ in cases.values()]
    nets = harness.nets(modules)
    emulated = harness.emulator(nets)
    for net, module, (name, (_, feed)) in zip(nets, modules, cases.items()):
        assert harness.differences(emulated, net, module, feed, seeds=(0,)) == [], name
