import builtins
from pathlib import Path

import numpy as np
import pytest

from octet.targets.errors import OctetError
from octet.tools import peers

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"


def test_unknown_peer():
    with pytest.raises(OctetError, match="take one or both of: onnxruntime,openvino"):
        peers.chosen("onnxruntime,tensorrt")


def test_missing_peer(monkeypatch):
    real = builtins.__import__

    def absent(name, *rest):
        if name.startswith("onnxruntime"):
            raise ImportError("no", name=name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(OctetError, match=r"pip install 'octet\[peers\]'"):
        peers.chosen("onnxruntime")


@pytest.mark.parametrize("name", peers.PEERS)
def test_peers_classify_the_digits(name):
    pytest.importorskip("onnxruntime")
    pytest.importorskip(name)
    with np.load(DIGITS / "digits-val.npz") as file:
        images, labels = file["image"][:8], file["labels"][:8]
    made = peers.runners(peers.chosen(name), DIGITS / "digits.onnx", {"image": images}, {"image": images}, threads=1)
    assert set(made) == {f"{name}-fp32", f"{name}-int8"}
    for run in made.values():
        answer = run()
        logits = answer if isinstance(answer, np.ndarray) else next(iter(answer.values()))
        assert (np.asarray(logits).argmax(1) == labels).sum() >= 7
