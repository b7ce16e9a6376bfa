"""Networks of opset 7 to 10: what onnx's version converter would give another meaning keeps its own."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from octet.targets.errors import UnsupportedModelError

X = np.arange(24, dtype="float32").reshape(1, 1, 4, 6) ** 2


def resized(model, scales, mode, opset=10, constant=False):
    operator = "Resize" if opset == 10 else "Upsample"
    scales = np.float32([1, 1, *scales])
    attributes = {"scales": scales.tolist()} if opset < 9 else {}
    nodes = [helper.make_node(operator, ["x", "s"][: 1 + (opset > 8)], ["y"], mode=mode, **attributes)]
    if constant:
        value = helper.make_tensor("s", TensorProto.FLOAT, [4], scales)
        nodes.insert(0, helper.make_node("Constant", [], ["s"], value=value))
    return model(nodes, {"x": X}, {} if constant or opset < 9 else {"s": scales}, opset)


def places(extent, scale, nearest):
    """The rows of a matrix that resizes an axis, as ONNX Runtime has it: the place x / scale, or the whole one below,
    above where the result is smaller; linear in between."""
    made = np.zeros((int(extent * scale), extent))
    for row, place in zip(made, np.arange(len(made)) / scale):
        if nearest:
            row[int(min(np.ceil(place) if scale < 1 else place, extent - 1))] = 1
        else:
            low = int(place)
            row[low] += 1 - (place - low)
            row[min(low + 1, extent - 1)] += place - low
    return made


@pytest.mark.parametrize("constant", [False, True], ids=["weight", "node"])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("opset, scales", [(7, (2, 3)), (8, (2, 2)), (9, (2, 1.5)), (10, (2, 3)), (10, (0.5, 0.75))])
def test_resize_reads_where_it_did(model, agrees, opset, scales, mode, constant):
    if constant and opset < 9:
        pytest.skip("scales are attributes there")
    rows, columns = (places(n, scale, mode == "nearest") for n, scale in zip(X.shape[2:], scales))
    wanted = np.einsum("ri,cj,nkij->nkrc", rows, columns, X)
    network = agrees(resized(model, scales, mode, opset, constant), {"x": X}, [wanted])
    assert f"opset {opset} was converted to 11" in network.notes


def test_larger_and_smaller_at_once_is_refused(model, load):
    """Of opset 11, the nearest place is one rule for all axes."""
    with pytest.raises(UnsupportedModelError, match="makes one axis larger and one smaller, by the rule of opset 10"):
        load(resized(model, (2, 0.5), "nearest"))


def test_an_input_of_another_shape_is_refused(model, load):
    """Scan of opset 8 has a batch."""
    infos = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "abcd"}
    nodes = [helper.make_node("Add", ["a", "b"], ["c"]), helper.make_node("Identity", ["c"], ["d"])]
    body = helper.make_graph(nodes, "body", [infos["a"], infos["b"]], [infos["c"], infos["d"]])
    scan = helper.make_node("Scan", ["", "i", "x"], ["last", "y"], num_scan_inputs=1, body=body)
    inputs = {"i": np.zeros((1, 4), "float32"), "x": np.zeros((1, 3, 4), "float32")}
    with pytest.raises(UnsupportedModelError, match="input 'i' would have another shape"):
        load(model([scan], inputs, opset=8))


def test_what_the_converter_cannot_do_is_said_without_its_source(model, load):
    nodes = [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Flatten", ["r"], ["f"])]
    nodes.append(helper.make_node("Gemm", ["f", "w", "b"], ["y"]))
    constants = {"w": np.ones((24, 3), "float32"), "b": np.ones(3, "float32")}
    with pytest.raises(
        UnsupportedModelError, match=r"opset 5 cannot be converted to 11: [^/]*; export with"
    ) as refused:
        load(model(nodes, {"x": X}, constants, opset=5))
    assert "Assertion" not in str(refused.value)
