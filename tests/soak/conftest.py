"""Load, time and bad places, by what `import octet` and the commands offer. A sample of each in every run; `make soak`
(OCTET_SOAK=1) takes an hour.

OCTET_SOAK_PACKAGE=FILE.octet names the larger network of the long run; without it a MobileNet-v3 is compiled."""

import os
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

import octet

from ..bad_input.conftest import images, tiny_network

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "architectures"))
import vision

LONG = bool(os.environ.get("OCTET_SOAK"))


def amount(sample: int, whole: int) -> int:
    """How often: in every run, and in the long one."""
    return whole if LONG else sample


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> Path:
    """A folder with a network, samples and its package."""
    folder = tmp_path_factory.mktemp("soak")
    onnx.save(tiny_network(), folder / "tiny.onnx")
    np.savez(folder / "calib.npz", image=images(16))
    hub = octet.quantize(octet.load_onnx(folder / "tiny.onnx"), str(folder / "calib.npz"))
    octet.compile(hub).save(folder / "tiny.octet")
    return folder


@pytest.fixture(scope="session")
def large(tmp_path_factory) -> Path:
    """A package of a network of some milliseconds."""
    if named := os.environ.get("OCTET_SOAK_PACKAGE"):
        return Path(named)
    folder = tmp_path_factory.mktemp("large")
    vision.mobilenet_v3(folder / "net.onnx")
    model = octet.load_onnx(folder / "net.onnx")
    samples = {
        spec.name: np.random.default_rng(0).standard_normal((4, *spec.shape[1:])).astype(np.float32)
        for spec in model.inputs
    }
    octet.compile(octet.quantize(model, samples)).save(folder / "net.octet")
    return folder / "net.octet"


def feed_of(session, seed=0) -> dict:
    """Float inputs, drawn."""
    rng = np.random.default_rng(seed)
    return {spec.name: rng.standard_normal(spec.shape).astype(spec.dtype) for spec in session.inputs}


def bytes_of(outputs) -> bytes:
    return b"".join(np.ascontiguousarray(value).tobytes() for value in outputs.values())
