"""A network of four layers with data, for tests of whole commands that must be quick."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from octet.passes.frontend.onnx import load_onnx
from octet.passes.referee.reference import run


def write(folder: Path, calibration: int = 48, validation: int = 96, seed: int = 0) -> Path:
    """folder/{small.onnx, calib.npz, val.npz}: conv, batch norm, relu; depthwise, relu; conv, relu; mean; linear. The
    labels are what fp32 answers.
    Returns the folder."""
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return rng.standard_normal(shape).astype(np.float32) / np.float32(np.sqrt(np.prod(shape[1:])))

    constants = {
        "w1": normal(8, 3, 3, 3),
        "gamma": rng.uniform(0.5, 2, 8),
        "beta": 0.1 * rng.standard_normal(8),
        "mean": 0.1 * rng.standard_normal(8),
        "variance": rng.uniform(0.5, 2, 8),
        "w2": normal(8, 1, 3, 3),
        "b2": np.zeros(8),
        "w3": normal(12, 8, 3, 3),
        "b3": np.zeros(12),
        "w4": normal(12, 5),
        "b4": np.zeros(5),
    }
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w1"], ["a"], name="first", pads=[1] * 4),
        node("BatchNormalization", ["a", "gamma", "beta", "mean", "variance"], ["n"], name="norm"),
        node("Relu", ["n"], ["ar"]),
        node("Conv", ["ar", "w2", "b2"], ["d"], name="depthwise", pads=[1] * 4, group=8),
        node("Relu", ["d"], ["dr"]),
        node("Conv", ["dr", "w3", "b3"], ["c"], name="second", pads=[1] * 4),
        node("Relu", ["c"], ["cr"]),
        node("GlobalAveragePool", ["cr"], ["m"]),
        node("Flatten", ["m"], ["f"]),
        node("Gemm", ["f", "w4", "b4"], ["y"], name="last"),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5])],
        [numpy_helper.from_array(np.ascontiguousarray(a, np.float32), name) for name, a in constants.items()],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "small.onnx"
    )
    calib, val = (rng.standard_normal((count, 3, 8, 8)).astype(np.float32) for count in (calibration, validation))
    module = load_onnx(folder / "small.onnx").module
    labels = np.array([run(module, {"x": sample[None]})[0].argmax() for sample in val])
    np.savez(folder / "calib.npz", x=calib)
    np.savez(folder / "val.npz", x=val, labels=labels)
    return folder
