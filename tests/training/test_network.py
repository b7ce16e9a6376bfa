"""What a network computes in training is what its compiled package computes, byte for byte, whatever its weights have
become."""

import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install 'octet[train]')")

import octet  # noqa: E402
from octet.passes.calibrate.quantize import quantize  # noqa: E402
from octet.passes.pipeline import canonicalize, to_integers  # noqa: E402
from octet.passes.referee import reference  # noqa: E402
from octet.targets.batches import run_samples  # noqa: E402
from octet.targets.errors import UnsupportedModelError  # noqa: E402
from octet.tools.training.samples import answers  # noqa: E402
from octet.tools.training.starts import narrowed, starts_of  # noqa: E402
from octet.tools.training.trained_network import export_trained, network_of  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import small_network  # noqa: E402

RNG = np.random.default_rng(0)


def moved(network, steps=2.0, seed=0):
    """The network with other weights and biases, as training leaves them."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * steps)
    return network


def calibrated(model, arrays, recipe=octet.Recipe()):
    """The hub, calibrated by the referee: nothing is built."""
    return quantize(
        canonicalize(model),
        arrays,
        recipe,
        executor_factory=lambda module: lambda feed: reference.run(module, feed),
        summaries=False,
    )


def answered(quantized, arrays):
    """By the referee of the integer graph, sample by sample."""
    _, module = to_integers(quantized)
    return np.concatenate([reference.run(module, {"x": sample[None]})[0] for sample in arrays["x"]])


@pytest.mark.parametrize(
    "recipe",
    [octet.Recipe(), octet.Recipe(weights="per-tensor", activations="symmetric")],
    ids=["default", "per-tensor"],
)
def test_bytes_of_the_compiled_package(tmp_path, recipe):
    folder = small_network.write(tmp_path)
    quantized = calibrated(
        octet.load_onnx(folder / "small.onnx"), {"x": np.load(folder / "calib.npz")["x"][:16]}, recipe
    )
    arrays = {"x": np.load(folder / "val.npz")["x"]}
    network = network_of(quantized)
    first = answers(network, quantized.model, arrays, 40)["y"]
    assert np.array_equal(first, answered(quantized, arrays))
    second = answers(moved(network), quantized.model, arrays, 96)["y"]
    export_trained(quantized, network, folder / "tuned.onnx", arrays)
    tuned = octet.compile(octet.quantize(octet.load_onnx(folder / "tuned.onnx")))
    assert np.array_equal(second, run_samples(tuned.session(1), arrays)["y"]) and not np.array_equal(first, second)


def written(path, nodes, shape, constants):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(a), name) for name, a in constants.items()],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return octet.load_onnx(path)


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32) / np.float32(np.sqrt(np.prod(shape[1:])))


def branches(path):
    """Convolutions with a residual, a table, pooling of both kinds, a concat, an enlargement, a slice, padding and a
    product of two tensors."""
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["a"], pads=[1] * 4),
        node("Sigmoid", ["a"], ["s"]),
        node("Mul", ["a", "s"], ["silu"]),
        node("Conv", ["silu", "w2"], ["c"], pads=[1, 0, 1, 2]),
        node("Add", ["c", "silu"], ["r"]),
        node("Relu", ["r"], ["rr"]),
        node("MaxPool", ["rr"], ["m"], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4),
        node("AveragePool", ["rr"], ["v"], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4),
        node("Concat", ["m", "v"], ["cc"], axis=1),
        node("Resize", ["cc", "", "scales"], ["z"], mode="linear", coordinate_transformation_mode="half_pixel"),
        node("Slice", ["z", "from", "to", "axes"], ["sl"]),
        node("Mul", ["sl", "silu"], ["p"]),
        node("Add", ["p", "sl"], ["q"]),
        node("Conv", ["q", "w3", "b3"], ["e"], group=2),
        node("GlobalAveragePool", ["e"], ["g"]),
        node("Flatten", ["g"], ["y"]),
    ]
    constants = {
        "w1": normal(8, 3, 3, 3),
        "b1": normal(8, 1)[:, 0],
        "w2": normal(8, 8, 3, 3),
        "w3": normal(6, 4, 1, 1),
        "b3": 40 * normal(6, 1)[:, 0],
        "scales": np.float32([1, 1, 2, 2]),
        "from": np.int64([4]),
        "to": np.int64([12]),
        "axes": np.int64([1]),
    }
    return written(path, nodes, [1, 3, 8, 8], constants)


def transformer(path):
    """An attention of two heads with its softmax, layer normalisations, GELU."""
    node = helper.make_node
    nodes = [
        node("LayerNormalization", ["x", "g", "b"], ["n"], axis=-1),
        node("MatMul", ["n", "wqkv"], ["mm"]),
        node("Add", ["mm", "bqkv"], ["qkv"]),
        node("Split", ["qkv"], ["q", "k", "v"], axis=-1),
        *(node("Reshape", [name, "heads"], [f"{name}r"]) for name in "qkv"),
        *(
            node("Transpose", [f"{name}r"], [f"{name}t"], perm=perm)
            for name, perm in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3]))
        ),
        node("MatMul", ["qt", "kt"], ["raw"]),
        node("Mul", ["raw", "half"], ["scores"]),
        node("Softmax", ["scores"], ["p"]),
        node("MatMul", ["p", "vt"], ["o"]),
        node("Transpose", ["o"], ["ot"], perm=[0, 2, 1, 3]),
        node("Reshape", ["ot", "flat"], ["of"]),
        node("MatMul", ["of", "wo"], ["proj"]),
        node("Add", ["proj", "x"], ["r"]),
        node("LayerNormalization", ["r", "g", "b"], ["n2"], axis=-1),
        node("MatMul", ["n2", "w1"], ["h"]),
        node("Div", ["h", "root"], ["hd"]),
        node("Erf", ["hd"], ["he"]),
        node("Add", ["he", "one"], ["h1"]),
        node("Mul", ["h", "h1"], ["hm"]),
        node("Mul", ["hm", "half"], ["act"]),
        node("MatMul", ["act", "w2"], ["y"]),
    ]
    constants = {
        "g": np.ones(16, np.float32),
        "b": np.zeros(16, np.float32),
        "wqkv": normal(16, 48) * 4,
        "bqkv": normal(48, 1)[:, 0],
        "heads": np.int64([0, 0, 2, 8]),
        "flat": np.int64([0, 0, 16]),
        "half": np.float32(0.5),
        "wo": normal(16, 16) * 4,
        "w1": normal(16, 32) * 4,
        "w2": normal(32, 5) * 4,
        "root": np.float32(np.sqrt(2)),
        "one": np.float32(1),
    }
    return written(path, nodes, [1, 6, 16], constants)


@pytest.mark.parametrize("network", [branches, transformer])
@pytest.mark.parametrize(
    "recipe", [octet.Recipe(), octet.Recipe(softmax="table", activations="symmetric")], ids=["default", "table"]
)
def test_bytes_of_the_referee_and_gradients_of_every_layer(tmp_path, network, recipe):
    model = network(tmp_path / "n.onnx")
    arrays = {"x": RNG.standard_normal((8, *model.inputs[0].shape[1:])).astype(np.float32)}
    quantized = calibrated(model, arrays, recipe)
    made = network_of(quantized)
    assert np.array_equal(answers(made, quantized.model, arrays, 8)["y"], answered(quantized, arrays))
    made({"x": torch.from_numpy(arrays["x"])[:, None]})["y"].square().sum().backward()
    assert all(
        p.grad is not None and torch.isfinite(p.grad).all() and p.grad.abs().sum() > 0 for p in made.parameters()
    )


def test_operators_without_a_form_are_named(tmp_path):
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["t", "w", "r"], ["", "y"], hidden_size=4),
    ]
    model = written(tmp_path / "l.onnx", nodes, [1, 3, 8], {"w": normal(1, 16, 8), "r": normal(1, 16, 4)})
    quantized = calibrated(model, {"x": RNG.standard_normal((8, 3, 8)).astype(np.float32)})
    with pytest.raises(
        UnsupportedModelError, match="fine-tuning: octet.lstm_state, octet.lstm_output: no form in PyTorch"
    ):
        network_of(quantized)


def test_bytes_of_a_loop(tmp_path):
    """A recurrent layer is one layer for all of its steps."""
    weights = {"w": (1, 72, 3), "r": (1, 72, 72), "head": (72, 2)}
    nodes = [
        helper.make_node("RNN", ["x", "w", "r"], ["", "state"], hidden_size=72, name="cell"),
        helper.make_node("MatMul", ["state", "head"], ["y"]),
    ]
    arrays = [
        numpy_helper.from_array(RNG.standard_normal(shape).astype("float32"), name) for name, shape in weights.items()
    ]
    shapes = (
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [12, 1, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 2])],
    )
    graph = helper.make_graph(nodes, "recurrent", *shapes, arrays)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "loop.onnx")
    samples = RNG.standard_normal((6, 12, 1, 3)).astype("float32")
    quantized = calibrated(octet.load_onnx(tmp_path / "loop.onnx", batch="none"), {"x": samples})
    network = network_of(quantized)
    _, module = to_integers(quantized)
    assert len(network.names) == 3  # They are both products of the cell, and the head.
    found = network({"x": torch.from_numpy(samples)})["y"]
    assert np.array_equal(
        found.detach().numpy(), np.stack([reference.run(module, {"x": sample})[0] for sample in samples])
    )
    found.square().sum().backward()
    assert all(
        parameter.grad is not None and parameter.grad.abs().sum() > 0
        for parameter in network.parameters()
        if parameter.requires_grad
    )


def test_scales_that_one_channel_holds_up_are_narrowed_and_mean_the_same_everywhere(tmp_path):
    """Sixteen channels of a hundredth of the seventeenth: they get their steps back, the large one is cut, and the file
    still means what the network computes."""
    weight, second = normal(17, 3, 3, 3), normal(5, 17, 1, 1)
    weight[-1] *= 100
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], name="wide"),
        helper.make_node("Clip", ["c", "low", "high"], ["r"]),
        helper.make_node("Conv", ["r", "v"], ["y"], name="even"),
    ]
    model = written(
        tmp_path / "wide.onnx",
        nodes,
        (1, 3, 8, 8),
        {"w": weight, "b": normal(17), "v": second, "low": np.float32(0), "high": np.float32(6)},
    )
    arrays = {"x": RNG.standard_normal((8, 3, 8, 8)).astype(np.float32)}
    quantized = calibrated(model, arrays, octet.Recipe(weights="per-tensor"))
    made, before, after = narrowed(quantized), starts_of(quantized), starts_of(narrowed(quantized))
    wide, even = sorted(before, key=lambda name: -len(before[name].scale))
    assert (
        after[wide].scale[0] < before[wide].scale[0] / 3
        and abs(before[wide].codes[:-1]).max() < 4 < abs(after[wide].codes[:-1]).max()
        and abs(after[wide].codes[-1]).max() == 127
    )
    assert np.array_equal(after[wide].weight, weight), "training begins at the fp32 weights"
    assert after[even].scale[0] >= before[even].scale[0] / 2
    per_channel = calibrated(model, arrays)
    assert narrowed(per_channel) is per_channel
    network = network_of(made)
    assert np.array_equal(answers(network, made.model, arrays, 8)["y"], answered(made, arrays))
    export_trained(made, network, tmp_path / "tuned.onnx", arrays)
