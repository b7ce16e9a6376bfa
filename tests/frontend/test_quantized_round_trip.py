"""Our own export in Q/DQ form, imported again."""

import numpy as np
import pytest
from onnx_nodes import node

import octet
from octet.passes.calibrate.given_quantizers import given_hub
from octet.passes.export.onnx_qdq import export_qdq
from octet.passes.frontend.onnx import load_onnx
from octet.passes.pipeline import canonicalize
from octet.passes.realize.realize import realize
from octet.passes.referee import reference

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((1, 4, 6, 6)).astype("float32")


@pytest.mark.parametrize("codes", ["uint8", "int8"])
def test_our_own_export_comes_back(model, load, tmp_path, codes):
    """The same integer graph, so the same bytes."""
    w, v = (RANDOM.standard_normal(shape).astype("float32") for shape in ((8, 4, 3, 3), (8, 8, 1, 1)))
    nodes = [
        node("Conv", ["x", "w", "b"], ["c"]),
        node("Clip", ["c", "low", "high"], ["r"]),
        node("Conv", ["r", "v"], ["d"]),
        node("Add", ["d", "r"], ["s"]),
        node("GlobalAveragePool", ["s"]),
    ]
    network = load(
        model(nodes, {"x": X}, {"w": w, "b": w[:, 0, 0, 0], "v": v, "low": np.float32(0), "high": np.float32(6)})
    )
    samples = RANDOM.standard_normal((32, 4, 6, 6)).astype("float32")
    quantized = octet.quantize(network, {"x": samples}, threads=1)
    export_qdq(quantized, tmp_path / "qdq.onnx", codes)
    back = realize(given_hub(canonicalize(load_onnx(tmp_path / "qdq.onnx"))).module)
    for sample in samples[:4]:
        found, want = (
            reference.run(module, {"x": sample[None]})[0] for module in (back.module, realize(quantized.module).module)
        )
        assert found.tobytes() == want.tobytes()
    assert [(layer.operator, layer.dtype) for layer in back.layers] == [
        (layer.operator, layer.dtype) for layer in realize(quantized.module).layers
    ]
