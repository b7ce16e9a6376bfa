"""MatMulInteger and ConvInteger: exact sums, in int8 kernels where the zero points are constant."""

import re

import numpy as np
import pytest
from onnx import TensorProto
from onnx_nodes import i8, node, u8

import octet
from octet.passes.calibrate.given_quantizers import given_hub
from octet.passes.export.evaluate import evaluate
from octet.passes.pipeline import canonicalize
from octet.passes.realize.realize import realize
from octet.passes.referee import reference
from octet.targets.errors import UnsupportedModelError

RNG = np.random.default_rng(5)
DEEP = RNG.integers(0, 256, (3, 700)).astype("uint8")
IMAGE = RNG.integers(-128, 128, (2, 4, 7, 6)).astype("int8")
TAPS = RNG.integers(-127, 128, (6, 4, 3, 3)).astype("int8")


def integer_graph(network):
    return realize(given_hub(canonicalize(network)).module)


def conv_sums(x, w, pads):
    """ConvInteger's sums of steps x and w, int64, in NumPy."""
    x = np.pad(x.astype("int64"), ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, w.astype("int64"))


def product(weight, zeros=("xz", "wz"), kind="MatMulInteger", **attributes):
    return node(kind, ["x", weight, *zeros], ["i"], **attributes)


def check(network, feed, want, kernels):
    """The network, and its integer graph, give `want` to the bit; kernels: how many layers are in int8."""
    canonical = canonicalize(network)
    assert reference.run(canonical.module, feed, evaluate)[0].tobytes() == want.tobytes()
    realized = integer_graph(network)
    found = reference.run(realized.module, feed, evaluate)[0]
    assert found.dtype == want.dtype and found.tobytes() == want.tobytes()
    layers = [layer.dtype for layer in realized.layers if layer.bound is not None]
    assert layers == ["int8"] * kernels
    assert not any(layer.operator in ("relax.add", "relax.multiply") for layer in realized.layers if kernels == 1)


SCALARS = [(u8(3), i8(0)), (u8(255), i8(-127)), (u8(0), RNG.integers(-127, 128, 5).astype("int8"))]


@pytest.mark.parametrize("x_zero, w_zero", SCALARS)
def test_products_of_an_input_with_constants(model, load, x_zero, w_zero):
    w = RNG.integers(-127, 128, (40, 5)).astype("int8")
    proto = model([product("w"), node("Identity", ["i"])], {"x": DEEP[:, :40]}, {"w": w, "xz": x_zero, "wz": w_zero})
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.INT32
    want = (DEEP[:, :40].astype("int32") - int(x_zero)) @ (w.astype("int32") - w_zero)
    check(load(proto), {"x": DEEP[:, :40]}, want, 1)


@pytest.mark.parametrize("computed", [False, True], ids=["constant", "computed"])
def test_sums_that_float32_does_not_hold_are_added_up_in_parts(model, load, computed):
    """700 products of up to 255 * 127 reach 2^24."""
    w = np.full((700, 4), 127, "int8")
    w[::7] = -128
    feed = {"x": DEEP | 128} | ({"w": w} if computed else {})
    constants = {"xz": u8(1), "wz": i8(0)} | ({} if computed else {"w": w})
    proto = model([product("w"), node("Identity", ["i"])], feed, constants)
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.INT32
    want = (feed["x"].astype("int32") - 1) @ w.astype("int32")
    check(load(proto), feed, want, 2)


@pytest.mark.parametrize("zero", [i8(0), i8(-128), i8(77)])
@pytest.mark.parametrize("pads", [[0, 0, 0, 0], [1, 0, 2, 1]])
def test_convolutions_pad_with_the_zero_point(model, load, zero, pads):
    wz = RNG.integers(-60, 60, 6).astype("int8") // 2
    taps = np.clip(TAPS, -90, 90)
    proto = model(
        [product("w", kind="ConvInteger", pads=pads), node("Identity", ["i"])],
        {"x": IMAGE},
        {"w": taps, "xz": zero, "wz": wz},
    )
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.INT32
    sums = conv_sums(IMAGE.astype("int64") - int(zero), taps.astype("int64") - wz.reshape(-1, 1, 1, 1), pads)
    check(load(proto), {"x": IMAGE}, sums.astype("int32"), 1)


def test_large_sums_of_convolutions(model, load):
    x, w = np.full((1, 128, 4, 4), 255, "uint8"), np.full((3, 128, 3, 3), 127, "int8")
    proto = model([product("w", ("xz",), "ConvInteger"), node("Identity", ["i"])], {"x": x}, {"w": w, "xz": u8(0)})
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.INT32
    check(load(proto), {"x": x}, conv_sums(x, w, [0] * 4).astype("int32"), 3)


def static_network(model, kind, x):
    """What quantizers wrote before QDQ: constant scales around products of integers."""
    conv = kind == "ConvInteger"
    w = TAPS if conv else RNG.integers(-127, 128, (4, 6)).astype("int8")
    scales = RNG.uniform(0.001, 0.003, 6).astype("float32")
    shape = (1, 6, 1, 1) if conv else (6,)
    nodes = [
        node("QuantizeLinear", ["x", "xs", "xz"], ["q"]),
        node(kind, ["q", "w", "xz"], ["i"]),
        node("Add", ["i", "b"], ["ib"]),
        node("Cast", ["ib"], ["f"], to=TensorProto.FLOAT),
        node("Mul", ["f", "ws"], ["r"]),
        node("Relu", ["r"], ["p"]),
        node("QuantizeLinear", ["p", "ys", "yz"], ["yq"]),
        node("DequantizeLinear", ["yq", "ys", "yz"]),
    ]
    constants = {
        "xs": np.float32(0.03),
        "xz": u8(117),
        "w": w,
        "b": RNG.integers(-4000, 4000, 6).astype("int32").reshape(shape),
        "ws": scales.reshape(shape),
        "ys": np.float32(0.05),
        "yz": u8(0),
    }
    return model(nodes, {"x": x}, constants), constants


@pytest.mark.parametrize("kind", ["MatMulInteger", "ConvInteger"])
def test_a_layer_between_constant_scales_is_one_kernel(model, load, kind):
    x = RNG.standard_normal((2, 4, 7, 6) if kind == "ConvInteger" else (5, 4)).astype("float32")
    proto, c = static_network(model, kind, x)
    steps = np.clip(np.rint(x / c["xs"]) + 117, 0, 255) - 117
    sums = (
        conv_sums(steps, c["w"], [0] * 4) if kind == "ConvInteger" else steps.astype("int64") @ c["w"].astype("int64")
    )
    real = np.maximum((sums + c["b"]).astype("float32") * c["ws"], 0)
    want = np.clip(np.rint(real / c["ys"]), 0, 255).astype("float32") * c["ys"]
    network = load(proto)
    assert network.comes_quantised
    realized = integer_graph(network)
    found = reference.run(realized.module, {"x": x})[0]
    assert np.abs(found - want).max() <= 1.01 * c["ys"] and np.mean(np.abs(found - want) > 1e-6) < 0.02
    assert [layer.operator for layer in realized.layers] == ["octet.conv2d" if kind == "ConvInteger" else "octet.dense"]


def test_packages_give_the_sums(model, load, tmp_path):
    w = RNG.integers(-127, 128, (700, 9)).astype("int8")
    nodes = [product("w"), node("Cast", ["i"], ["y"], to=TensorProto.FLOAT)]
    proto = model(nodes, {"x": DEEP}, {"w": w, "xz": u8(9), "wz": i8(2)})
    quantized = octet.quantize(canonicalize(load(proto)))
    want = ((DEEP.astype("int64") - 9) @ (w.astype("int64") - 2)).astype("float32")
    octet.compile(quantized).save(tmp_path / "sums.octet")
    assert octet.load(tmp_path / "sums.octet").run({"x": DEEP})["y"].tobytes() == want.tobytes()


def test_rows_with_zero_points_of_their_own(model, load):
    rows, columns = RNG.integers(0, 256, 3).astype("uint8"), RNG.integers(-128, 128, 5).astype("int8")
    w = RNG.integers(-128, 128, (40, 5)).astype("int8")
    proto = model([product("w"), node("Identity", ["i"])], {"x": DEEP[:, :40]}, {"w": w, "xz": rows, "wz": columns})
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.INT32
    want = (DEEP[:, :40].astype("int32") - rows.reshape(-1, 1)) @ (w.astype("int32") - columns)
    assert reference.run(load(proto).module, {"x": DEEP[:, :40]})[0].tobytes() == want.astype("int32").tobytes()


def test_sums_that_are_moved_and_dequantised(model, load):
    """Reshape, Transpose and DequantizeLinear of int32, all of which the kernel's own result goes through."""
    w = RNG.integers(-127, 128, (40, 6)).astype("int8")
    nodes = [
        product("w"),
        node("Transpose", ["i"], ["t"], perm=[1, 0]),
        node("Reshape", ["t", "shape"], ["r"]),
        node("DequantizeLinear", ["r", "s"], ["y"]),
    ]
    constants = {"w": w, "xz": u8(3), "wz": i8(1), "shape": np.array([2, 9]), "s": np.float32(0.25)}
    want = ((DEEP[:, :40].astype("int64") - 3) @ (w.astype("int64") - 1)).T.reshape(2, 9).astype("float32") * 0.25
    realized = integer_graph(load(model(nodes, {"x": DEEP[:, :40]}, constants)))
    assert reference.run(realized.module, {"x": DEEP[:, :40]})[0].tobytes() == want.astype("float32").tobytes()
    assert not any(layer.operator == "relax.astype" for layer in realized.layers)


def test_what_cannot_be_exact_is_one_line(model, load):
    x, w = np.zeros((1, 64, 4, 4), "uint8"), np.zeros((3, 64, 3, 3), "int8")
    with pytest.raises(UnsupportedModelError, match="ConvInteger node 'i' convolves with computed weights"):
        load(model([product("w", (), "ConvInteger"), node("Cast", ["i"], to=1)], {"x": x, "w": w}))
    nodes = [node("DynamicQuantizeLinear", ["f"], ["q", "s", "xz"]), product("w"), node("Cast", ["i"], to=1)]
    with pytest.raises(UnsupportedModelError, match="by the zero point of others, which is known at run time only"):
        load(model(nodes, {"x": DEEP, "f": DEEP.astype("float32")}, {"w": np.ones((700, 3), "int8"), "wz": i8(0)}))


@pytest.mark.parametrize("kind", ["MatMulInteger", "ConvInteger"])
def test_zero_points_that_are_inputs(model, load, kind):
    conv = kind == "ConvInteger"
    x, w = (IMAGE, TAPS) if conv else (DEEP[:, :40].view("int8"), RNG.integers(-128, 128, (40, 6)).astype("int8"))
    xz, wz = i8(-100), RNG.integers(-128, 128, 6).astype("int8")
    proto = model(
        [product("w", kind=kind, **({"pads": [1, 1, 1, 1]} if conv else {})), node("Identity", ["i"])],
        {"x": x, "xz": xz, "wz": wz},
        {"w": w},
    )
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.INT32
    left, right = x.astype("int64") + 100, w.astype("int64") - (wz.reshape(-1, 1, 1, 1) if conv else wz)
    want = (conv_sums(left, right, [1, 1, 1, 1]) if conv else left @ right).astype("int32")
    assert reference.run(load(proto).module, {"x": x, "xz": xz, "wz": wz})[0].tobytes() == want.tobytes()


@pytest.mark.parametrize("zero", [[], ["other"]])
def test_codes_of_a_run_time_scale_keep_their_own_zero_point(model, load, zero):
    nodes = [
        node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        node("MatMulInteger", ["q", "w", *zero], ["i"]),
        node("Cast", ["i"], ["f"], to=TensorProto.FLOAT),
        node("Mul", ["f", "s"]),
    ]
    constants = {"w": np.ones((4, 3), "int8"), "other": u8(7)}
    with pytest.raises(UnsupportedModelError, match=re.escape("by a zero point that is not its own")):
        load(model(nodes, {"x": np.ones((2, 4), "float32")}, constants))


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint32"])
def test_gemm_of_integers(model, load, dtype):
    a, b, c = (RNG.integers(0, 1000, shape).astype(dtype) for shape in ((4, 8), (3, 8), (3,)))
    for constants in ({"b": b, "c": c}, {}):
        inputs = {"a": a} | ({} if constants else {"b": b, "c": c})
        proto = model([node("Gemm", ["a", "b", "c"], alpha=2.0, beta=3.0, transB=1)], inputs, constants)
        proto.graph.output[0].type.tensor_type.elem_type = proto.graph.input[0].type.tensor_type.elem_type
        found = reference.run(load(proto).module, inputs)[0]
        assert found.tobytes() == (a @ b.T * np.array(2, dtype) + c * np.array(3, dtype)).tobytes()
    with pytest.raises(UnsupportedModelError, match="multiplies .* by alpha = 0.5, whose products are no integers"):
        load(model([node("Gemm", ["a", "b", "c"], alpha=0.5, transB=1)], {"a": a}, {"b": b, "c": c}))
