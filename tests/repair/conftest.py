"""A small network whose channels are uneven, and a way to run modules in fp32."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from octet.passes.frontend.onnx import load_onnx
from octet.passes.pipeline import canonicalize
from octet.passes.sensitivity.libraries import Libraries

POWERS = 2.0 ** np.arange(-4, 5)


def build(path, norm=False, seed=0):
    """conv 8 - relu - conv 12 - relu - mean - gemm 5 (or layer norm in front of it); the first conv's channels are
    scaled by powers of two that the second divides out again."""
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return rng.standard_normal(shape).astype(np.float32) / np.sqrt(np.prod(shape[1:]))

    twist = rng.choice(POWERS, 8).astype(np.float32)
    gamma = rng.choice(POWERS, 12).astype(np.float32)
    constants = {
        "w1": normal(8, 3, 3, 3) * twist[:, None, None, None],
        "b1": (0.1 * rng.standard_normal(8).astype(np.float32)) * twist,
        "w2": normal(12, 8, 3, 3) / twist[:, None, None],
        "b2": np.zeros(12, np.float32),
        "gamma": gamma,
        "beta": gamma * 0.1,
        "w3": normal(5, 12).T / (gamma[:, None] if norm else 1),
        "b3": np.zeros(5, np.float32),
    }
    node = helper.make_node
    nodes = (
        [
            node("Conv", ["x", "w1", "b1"], ["a"], pads=[1] * 4),
            node("Relu", ["a"], ["ar"]),
            node("Conv", ["ar", "w2", "b2"], ["c"], pads=[1] * 4),
            node("Relu", ["c"], ["cr"]),
            node("GlobalAveragePool", ["cr"], ["m"]),
            node("Flatten", ["m"], ["f"]),
        ]
        + ([node("LayerNormalization", ["f", "gamma", "beta"], ["n"], axis=-1)] if norm else [])
        + [node("Gemm", ["n" if norm else "f", "w3", "b3"], ["y"])]
    )
    used = {name for n in nodes for name in n.input}
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5])],
        [numpy_helper.from_array(np.ascontiguousarray(a, np.float32), n) for n, a in constants.items() if n in used],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return canonicalize(load_onnx(path))


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    return build(tmp_path_factory.mktemp("toy") / "toy.onnx")


@pytest.fixture(scope="session")
def normed(tmp_path_factory):
    return build(tmp_path_factory.mktemp("normed") / "normed.onnx", norm=True)


@pytest.fixture(scope="session")
def samples():
    return {"x": np.random.default_rng(1).standard_normal((48, 3, 8, 8)).astype(np.float32)}


@pytest.fixture(scope="session")
def run():
    """run(module, samples) -> its first result for every sample, in fp32."""
    libraries = Libraries()

    def outputs(module, samples):
        execute = libraries.executor(module)
        return np.concatenate(
            [execute({name: array[i : i + 1] for name, array in samples.items()})[0].copy() for i in range(8)]
        )

    return outputs
