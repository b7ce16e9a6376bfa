"""Networks that come quantised: QDQ, QOperator, weights only, dynamic; their integers are the file's, no sample is
needed."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnx_nodes import i8, node, u8

from octet.passes.calibrate.given_quantizers import given_hub
from octet.passes.pipeline import canonicalize
from octet.passes.realize.realize import realize
from octet.passes.referee import reference
from octet.targets.errors import UnsupportedModelError

RNG = np.random.default_rng(0)
X = RNG.standard_normal((1, 4, 6, 6)).astype("float32")
W = RNG.integers(-127, 128, (5, 4, 3, 3)).astype("int8")
W[:, 0, 0, 0] = 127
SCALES = RNG.uniform(0.005, 0.02, 5).astype("float32")
B = RNG.integers(-2000, 2000, 5).astype("int32")
XS, YS = np.float32(0.03), np.float32(0.09)


def expected(xz, yz, low, high):
    """The integers of a convolution, exactly, and the float result."""
    q = np.clip(np.rint(X / XS) + xz, low, high) - xz
    windows = np.lib.stride_tricks.sliding_window_view(q, (3, 3), axis=(2, 3))
    acc = np.einsum("nchwij,ocij->nohw", windows, W.astype("int64")) + B.reshape(1, -1, 1, 1)
    real = acc * (np.float64(XS) * SCALES.astype("float64")).reshape(1, -1, 1, 1)
    return (np.clip(np.rint(real / YS) + yz, low, high) - yz) * np.float64(YS)


def qdq(zero):
    return [
        node("QuantizeLinear", ["x", "xs", "xz"], ["q"]),
        node("DequantizeLinear", ["q", "xs", "xz"], ["d"]),
        node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], axis=0),
        node("DequantizeLinear", ["b", "bs"], ["bd"], axis=0),
        node("Conv", ["d", "wd", "bd"], ["c"]),
        node("QuantizeLinear", ["c", "ys", "yz"], ["cq"]),
        node("DequantizeLinear", ["cq", "ys", "yz"]),
    ], {
        "xs": XS,
        "xz": zero(110 if zero is u8 else -18),
        "w": W,
        "ws": SCALES,
        "wz": np.zeros(5, "int8"),
        "b": B,
        "bs": XS * SCALES,
        "ys": YS,
        "yz": zero(0 if zero is u8 else -128),
    }


def qoperator(zero):
    _, constants = qdq(zero)
    nodes = [
        node("QuantizeLinear", ["x", "xs", "xz"], ["q"]),
        node("QLinearConv", ["q", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"], ["cq"]),
        node("DequantizeLinear", ["cq", "ys", "yz"]),
    ]
    return nodes, constants


def integer_graph(network):
    return realize(given_hub(canonicalize(network)).module)


@pytest.mark.parametrize("form", [qdq, qoperator])
@pytest.mark.parametrize("zero", [u8, i8], ids=["uint8", "int8"])
def test_static_forms(model, load, form, zero):
    nodes, constants = form(zero)
    network = load(model(nodes, {"x": X}, constants))
    realized = integer_graph(network)
    assert network.comes_quantised and [(layer.operator, layer.dtype) for layer in realized.layers] == [
        ("octet.conv2d", "int8")
    ]
    limits = np.iinfo(zero(0).dtype)
    want = expected(int(constants["xz"]), int(constants["yz"]), limits.min, limits.max)
    found = reference.run(realized.module, {"x": X})[0]
    assert (
        want.min() >= 0 and np.abs(found - want).max() < 1e-6
    )  # With the zero point at the lower end, the quantizer is the activation.


@pytest.mark.parametrize("layer", ["conv", "matmul"])
@pytest.mark.parametrize(
    ("low", "zero", "dtype"),
    [(0, 40, "int8"), (0, 128, "int8"), (1, 255, "int8"), (0, 0, "float32")],
    ids=["to 215", "symmetric", "to -254", "255 needs three"],
)
def test_unsigned_weights_keep_all_their_steps(model, load, layer, low, zero, dtype):
    """uint8 weights around any zero point: what does not fit one int8 weight is two of them, in one accumulator."""
    shape, axis, operator = ((5, 4, 3, 3), 0, "Conv") if layer == "conv" else ((4, 5), 1, "MatMul")
    w = RNG.integers(low, 256, shape).astype("uint8")
    w.reshape(-1)[:2], x = (low, 255), X if layer == "conv" else X[0, :, 0]
    nodes = [
        node("QuantizeLinear", ["x", "xs", "xz"], ["q"]),
        node("DequantizeLinear", ["q", "xs", "xz"], ["d"]),
        node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], axis=axis),
        node(operator, ["d", "wd"]),
    ]
    x = x if layer == "conv" else np.ascontiguousarray(x.T)
    realized = integer_graph(
        load(model(nodes, {"x": x}, {"xs": XS, "xz": u8(110), "w": w, "ws": SCALES, "wz": np.full(5, zero, "uint8")}))
    )
    products = [each.dtype for each in realized.layers if each.operator in ("octet.conv2d", "octet.dense")]
    assert products == (["int8"] if dtype == "int8" else []) and all(
        each.dtype == "int8" for each in realized.layers if products
    )
    q = np.clip(np.rint(x / XS) + 110, 0, 255) - 110
    steps = w.astype("int64") - zero
    if layer == "conv":
        windows = np.lib.stride_tricks.sliding_window_view(q, (3, 3), axis=(2, 3))
        want = np.einsum("nchwij,ocij->nohw", windows, steps) * (np.float64(XS) * SCALES.astype("float64")).reshape(
            1, -1, 1, 1
        )
    else:
        want = q @ steps * (np.float64(XS) * SCALES.astype("float64"))
    np.testing.assert_allclose(reference.run(realized.module, {"x": x})[0], want, rtol=2e-6, atol=1e-5)


def test_weights_that_the_file_quantises_itself(model, load):
    """As exports of training with quantization have them: float weights through a quantizer; and no zero point."""
    nodes = [
        node("QuantizeLinear", ["x", "xs"], ["q"], output_dtype=TensorProto.INT8),
        node("DequantizeLinear", ["q", "xs"], ["d"]),
        node("QuantizeLinear", ["w", "ws", "wz"], ["wq"], axis=0),
        node("DequantizeLinear", ["wq", "ws", "wz"], ["wd"], axis=0),
        node("Conv", ["d", "wd"]),
    ]
    weights = W * SCALES.reshape(-1, 1, 1, 1) * np.float32(1.001)
    realized = integer_graph(
        load(model(nodes, {"x": X}, {"xs": XS, "w": weights, "ws": SCALES, "wz": np.zeros(5, "int8")}, opset=21))
    )
    assert [(layer.operator, layer.dtype) for layer in realized.layers] == [("octet.conv2d", "int8")]
    windows = np.lib.stride_tricks.sliding_window_view(np.clip(np.rint(X / XS), -128, 127) * XS, (3, 3), axis=(2, 3))
    want = np.einsum(
        "nchwij,ocij->nohw",
        windows,
        np.clip(np.rint(weights / SCALES.reshape(-1, 1, 1, 1)), -128, 127) * SCALES.reshape(-1, 1, 1, 1),
    )
    np.testing.assert_allclose(reference.run(realized.module, {"x": X})[0], want, atol=1e-3)


def test_the_fp32_network_keeps_what_quantizers_cut(model, load):
    nodes, constants = qdq(u8)
    fp32 = given_hub(canonicalize(load(model(nodes, {"x": X}, constants)))).model
    assert reference.run(fp32.module, {"x": X})[0].min() >= 0


def test_a_movement_between_quantizer_and_layer(model, load):
    """Quantised only in front of layers, as TensorRT's tools do: the transposed tensor is quantised with the same
    scale."""
    w = RNG.integers(-127, 128, (6, 3)).astype("int8")
    nodes = [
        node("QuantizeLinear", ["x", "xs", "xz"], ["q"]),
        node("DequantizeLinear", ["q", "xs", "xz"], ["d"]),
        node("Transpose", ["d"], ["t"], perm=[0, 2, 3, 1]),
        node("Reshape", ["t", "shape"], ["r"]),
        node("DequantizeLinear", ["w", "ws"], ["wd"]),
        node("MatMul", ["r", "wd"]),
    ]
    realized = integer_graph(
        load(
            model(nodes, {"x": X}, {"xs": XS, "xz": i8(3), "w": w, "ws": np.float32(0.01), "shape": np.array([24, 6])})
        )
    )
    assert [layer.dtype for layer in realized.layers if layer.operator == "octet.dense"] == ["int8"]


def test_codes_that_are_moved(model, load):
    """Operators on the integers themselves."""
    nodes = [
        node("QuantizeLinear", ["x", "xs", "xz"], ["q"]),
        node("MaxPool", ["q"], ["p"], kernel_shape=[2, 2]),
        node("Concat", ["p", "p"], ["c"], axis=1),
        node("DequantizeLinear", ["c", "xs", "xz"]),
    ]
    found = reference.run(integer_graph(load(model(nodes, {"x": X}, {"xs": XS, "xz": u8(128)}))).module, {"x": X})[0]
    q = (np.clip(np.rint(X / XS) + 128, 0, 255) - 128) * XS
    pooled = np.lib.stride_tricks.sliding_window_view(q, (2, 2), axis=(2, 3)).max((-1, -2))
    np.testing.assert_allclose(found, np.concatenate([pooled, pooled], 1), rtol=1e-6)


def test_constants_of_rank_0_are_quantised_and_dequantised(model, agrees):
    """ONNX Runtime's quantizer gives constants of sums and products a pair, or stores their codes."""
    nodes = [
        node("QuantizeLinear", ["half", "s", "z"], ["q"]),
        node("DequantizeLinear", ["q", "s", "z"], ["a"]),
        node("DequantizeLinear", ["code", "s", "z"], ["b"]),
        node("Mul", ["x", "a"], ["m"]),
        node("Add", ["b", "m"]),
    ]
    constants = {"half": np.float32(0.5), "s": np.float32(0.004), "z": u8(3), "code": u8(200)}
    agrees(model(nodes, {"x": X}, constants), {"x": X}, [X * np.float32(0.5) + np.float32(197 * 0.004)])


def test_codes_of_fewer_bits_are_clipped_codes(model, load):
    """Brevitas writes Clip, PyTorch's exporter Cast to the type that is there, between the nodes of a pair: one layer
    with bounds all the same."""
    nodes, constants = qdq(u8)
    at = next(i for i, each in enumerate(nodes) if list(each.output) == ["cq"])
    nodes[at].output[0] = "wide"
    between = [node("Clip", ["wide", "low", "high"], ["few"]), node("Cast", ["few"], ["cq"], to=TensorProto.UINT8)]
    nodes[at + 1 : at + 1] = between
    network = load(model(nodes, {"x": X}, constants | {"low": u8(1), "high": u8(15)}))
    realized = integer_graph(network)
    assert [(layer.operator, layer.dtype) for layer in realized.layers] == [("octet.conv2d", "int8")]
    found = reference.run(realized.module, {"x": X})[0]
    assert np.abs(found - np.clip(expected(110, 0, 0, 255), YS, 15 * np.float64(YS))).max() < 1e-6


@pytest.mark.parametrize("wide", [np.array(0, "uint16"), np.array(0, "int16")])
def test_sixteen_bits_are_refused_by_name(model, load, wide):
    nodes = [node("QuantizeLinear", ["x", "xs", "z"], ["q"]), node("DequantizeLinear", ["q", "xs", "z"])]
    with pytest.raises(UnsupportedModelError, match=f"quantises to {wide.dtype}"):
        load(model(nodes, {"x": X}, {"xs": XS, "z": wide}, opset=21))


def test_rows_of_a_quantised_table_are_weights(model, agrees):
    """A file whose only quantizer is that of an embedding is calibrated as any other."""
    table, weight = RNG.integers(-127, 128, (11, 6)).astype("int8"), RNG.standard_normal((6, 3)).astype("float32")
    nodes = [
        node("Gather", ["table", "x"], ["rows"], axis=0),
        node("DequantizeLinear", ["rows", "s", "z"], ["real"]),
        node("MatMul", ["real", "w"]),
    ]
    index = np.array([[3, 0, 10, 3, 7]])
    constants = {"table": table, "s": np.float32(0.02), "z": i8(3), "w": weight}
    wanted = (table[index].astype("float32") - 3) * np.float32(0.02) @ weight
    assert not agrees(model(nodes, {"x": index}, constants), {"x": index}, [wanted]).comes_quantised


def test_weights_alone_keep_their_integers(model, load, agrees):
    """They are float constants on a grid until the layer is quantised, by whatever it is calibrated with."""
    from octet.passes.calibrate.weights import quantize_weight, weight_scales

    network = agrees(
        model(
            [node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], axis=0), node("Conv", ["x", "wd"])],
            {"x": X},
            {"w": W, "ws": SCALES, "wz": np.zeros(5, "int8")},
        ),
        {"x": X},
        [
            np.einsum(
                "nchwij,ocij->nohw",
                np.lib.stride_tricks.sliding_window_view(X, (3, 3), axis=(2, 3)),
                W * SCALES.reshape(-1, 1, 1, 1),
            )
        ],
    )
    assert not network.comes_quantised
    weight = W.astype("float32") * SCALES.reshape(-1, 1, 1, 1)
    scales = weight_scales(weight, 0, 0.01, None)
    assert np.array_equal(scales, SCALES) and np.array_equal(quantize_weight(weight, scales, 0), W)


def test_against_onnx_runtime(model, load, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    for form in (qdq, qoperator):
        nodes, constants = form(u8)
        proto = model(nodes, {"x": X}, constants)
        onnx.save(proto, tmp_path / "model.onnx")
        want = runtime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"]).run(
            None, {"x": X}
        )[0]
        found = reference.run(integer_graph(load(proto)).module, {"x": X})[0]
        assert np.abs(found - want).max() <= YS * 1.0001  # The difference is at most one step of the result.
