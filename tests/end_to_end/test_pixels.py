"""uint8 images: what networks do to pixels in front of the first layer is part of that layer, however it is written."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import octet
from octet.passes.annotate.graph import Graph
from octet.passes.pipeline import canonicalize, to_integers
from octet.passes.referee import reference
from octet.targets.errors import OctetError
from octet.tools.building.watching import with_usual_clips

MEAN, DEVIATION = np.float32([123.675, 116.28, 103.53]), np.float32([58.395, 57.12, 57.375])
# What is done to the pixels x: (operator, constant), in order; a constant per channel is one value per channel.
HEADS = {
    "mean and deviation": (("Sub", MEAN), ("Div", DEVIATION)),
    "to one, then mean and deviation": (("Mul", np.float32(1 / 255)), ("Sub", MEAN / 255), ("Div", DEVIATION / 255)),
    "to minus one and one": (("Div", np.float32(127.5)), ("Sub", np.float32(1))),
    "negative": (("Sub", np.float32(255)), ("Mul", np.float32(-0.01))),
    "to one": (("Div", np.float32(255)),),
}


def network(path, head, last, pads):
    """Of pixels [N, 9, 8, 3] (last) or [N, 3, 9, 8]: Cast, head, and a convolution with ReLU and an average: scores [N,
    5]. Channels last turn behind the head."""
    rng = np.random.default_rng(0)
    arrays = {"weight": rng.standard_normal((5, 3, 3, 3)), "bias": rng.standard_normal(5)}
    nodes, name = [helper.make_node("Cast", ["pixels"], ["cast"], to=TensorProto.FLOAT)], "cast"
    for i, (operator, value) in enumerate(head):
        arrays[f"c{i}"] = value.reshape(3, 1, 1) if value.size == 3 and not last else value
        nodes.append(helper.make_node(operator, [name, f"c{i}"], [f"y{i}"]))
        name = f"y{i}"
    if last:
        nodes.append(helper.make_node("Transpose", [name], ["turned"], perm=[0, 3, 1, 2]))
        name = "turned"
    nodes += [
        helper.make_node("Conv", [name, "weight", "bias"], ["conv"], pads=pads, strides=[2, 2]),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("Flatten", ["relu"], ["scores"]),
    ]
    shape = ("N", 9, 8, 3) if last else ("N", 3, 9, 8)
    inputs = [helper.make_tensor_value_info("pixels", TensorProto.UINT8, shape)]
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ("N", None))]
    weights = [numpy_helper.from_array(np.asarray(v, np.float32), k) for k, v in arrays.items()]
    onnx.save(
        helper.make_model(
            helper.make_graph(nodes, "pixels", inputs, outputs, weights),
            opset_imports=[helper.make_opsetid("", 17)],
            ir_version=8,
        ),
        path,
    )
    return path


def pixels(last, count=12):
    """Both ends of the range in every channel."""
    x = np.random.default_rng(1).integers(0, 256, (count, 9, 8, 3), dtype=np.uint8)
    x[:, 0, 0], x[:, 0, 1] = 0, 255
    return x if last else np.ascontiguousarray(x.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("last, pads", [(True, [1, 1, 1, 1]), (False, [0, 1, 1, 0])])
@pytest.mark.parametrize("name", HEADS)
def test_the_head_is_part_of_the_layer(tmp_path, name, last, pads):
    path = network(tmp_path / "pixels.onnx", HEADS[name], last, pads)
    canonical, x = canonicalize(octet.load_onnx(path)), pixels(last)[:1]
    want = ReferenceEvaluator(str(path)).run(None, {"pixels": x})[0]
    np.testing.assert_allclose(
        reference.run(canonical.module, {"pixels": x})[0], want, rtol=0, atol=1e-4 * np.abs(want).max()
    )
    operators = [node.op for node in Graph(canonical.module).nodes]
    assert (
        not {"relax.divide", "relax.subtract", "relax.multiply"} & set(operators) and operators.count("relax.add") == 1
    ), operators


@pytest.mark.parametrize("last, batch", [(True, 2), (False, 1)])
def test_pixels_are_read_as_they_are(tmp_path, last, batch):
    path, data = network(tmp_path / "pixels.onnx", HEADS["mean and deviation"], last, [1, 1, 1, 1]), pixels(last)
    model, x = octet.load_onnx(path, batch=batch), data[:batch]
    quantized = octet.quantize(model, {"pixels": data})
    package = octet.compile(quantized, policy="int8")
    got = package.session(1).run({"pixels": x})["scores"]
    assert got.tobytes() == reference.run(to_integers(quantized)[1], {"pixels": x})[0].tobytes()
    want = ReferenceEvaluator(str(path)).run(None, {"pixels": x})[0]
    assert np.linalg.norm(got - want) < 0.02 * np.linalg.norm(want)
    (first,) = [edge for edge in quantized.edges if edge.spec == "fixed"]
    assert (quantized.qparams[first.group].scale, quantized.qparams[first.group].zero_point) == (1.0, -128)
    assert package.info["operators"]["float"] == 0
    with pytest.raises(
        OctetError, match="nothing can clip"
    ):  # Every result of this network is float, and its pixels are exact.
        with_usual_clips(package, {"pixels": data})
    assert not {"astype", "cast", "add", "multiply", "quantize"} & {step.operator for step in package.variants[0].steps}
