"""DFT and STFT against onnx.reference; their products stay in float."""

import numpy as np
import pytest
from onnx import helper

from octet.passes.annotate import Annotate
from octet.passes.pipeline import canonicalize
from octet.targets.errors import UnsupportedModelError

RANDOM = np.random.default_rng(4)


def real(*shape):
    return RANDOM.standard_normal(shape).astype("float32")


@pytest.mark.parametrize(
    "attributes", [{"axis": 1}, {"axis": 2}, {"axis": 1, "inverse": 1}, {"axis": 1, "onesided": 1}]
)
@pytest.mark.parametrize("length", [None, 5, 9])
def test_dft(model, agrees, attributes, length):
    x = real(2, 7, 6, 1 if attributes.get("onesided") else 2)
    constants = {} if length is None else {"n": np.int64(length)}
    node = helper.make_node("DFT", ["x", "n"] if constants else ["x"], ["y"], **attributes)
    agrees(model([node], {"x": x}, constants), {"x": x})


STFT = helper.make_node("STFT", ["x", "step", "window", "size"], ["y"], name="spectra", onesided=1)
FRAMES = {"step": np.int64(3), "window": np.hanning(8).astype("float32"), "size": np.int64(8)}


@pytest.mark.parametrize("onesided", [0, 1])
def test_stft(model, agrees, onesided):
    x = real(2, 32, 1)
    node = helper.make_node("STFT", ["x", "step", "window", "size"], ["y"], onesided=onesided)
    agrees(model([node], {"x": x}, FRAMES), {"x": x})


def test_a_spectrum_stays_in_float(model, load):
    x = real(1, 32, 1)
    nodes = [
        STFT,
        helper.make_node("Flatten", ["y"], ["flat"], axis=2),
        helper.make_node("MatMul", ["flat", "w"], ["z"], name="layer"),
    ]
    proto = model(nodes, {"x": x}, FRAMES | {"w": real(10, 4)}, outputs=("z",))
    decisions = {each.name: each for each in Annotate().decide(canonicalize(load(proto)).module).decisions}
    assert decisions["spectra.spectrum"].dtype == "float" and "Fourier" in decisions["spectra.spectrum"].reason
    assert decisions["layer"].dtype == "int8"


REFUSED = {
    "longer than the signal": (helper.make_node("STFT", ["x", "step", "", "long"], ["y"], name="node"), "frames of 64"),
    "neither window nor length": (helper.make_node("STFT", ["x", "step"], ["y"], name="node"), "neither a window"),
    "along the pairs": (helper.make_node("DFT", ["x"], ["y"], name="node", axis=2), "along its pairs"),
    "too many points": (helper.make_node("DFT", ["x", "many"], ["y"], name="node"), "too many for a matrix"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(model, load, case):
    node, message = REFUSED[case]
    constants = {"step": np.int64(3), "long": np.int64(64), "many": np.int64(1 << 14)}
    with pytest.raises(UnsupportedModelError, match=f"'node'.*{message}"):
        load(model([node], {"x": real(1, 32, 1)}, constants))
