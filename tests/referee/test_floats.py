"""The referee's float operators: defined orders of summation, agreement with float64, and with TVM's own operators
where they overlap."""

import numpy as np
import pytest
import tvm
from tvm import relax
from tvm.relax import op as R

import octet.passes  # noqa: F401 - registers the operators
from octet.passes.referee import reference
from octet.passes.referee.normalization import normalize
from octet.passes.referee.resize import nearest_indices
from octet.passes.referee.sums import ordered_sum, sum16

F32 = np.float32


def module(body, **shapes):
    builder = relax.BlockBuilder()
    params = [relax.Var(name, relax.TensorType(shape, "float32")) for name, shape in shapes.items()]
    with builder.function("main", params):
        with builder.dataflow():
            result = builder.emit_output(body(*params))
        builder.emit_func_output(result)
    return builder.get()


@pytest.mark.parametrize("size", [1, 15, 16, 17, 100])
def test_sum16_is_sixteen_interleaved_sums_halved_pairwise(size):
    x = np.random.default_rng(size).normal(size=size).astype("float32")
    lanes = [F32(0)] * 16
    for i, value in enumerate(x):
        lanes[i % 16] = lanes[i % 16] + value
    while len(lanes) > 1:
        half = len(lanes) // 2
        lanes = [lanes[j] + lanes[j + half] for j in range(half)]
    assert sum16(x).tobytes() == np.array(lanes, "float32").tobytes()


def test_ordered_sum_is_row_major():
    x = np.random.default_rng(0).normal(size=(2, 5, 7)).astype("float32")
    total = F32(0)
    for value in x[1].ravel():
        total = total + value
    assert ordered_sum(x, 2)[1] == total


def test_normalize():
    x = np.random.default_rng(0).normal(3, 2, (4, 50)).astype("float32")
    wide = x.astype("float64")
    expected = (wide - wide.mean(-1, keepdims=True)) / np.sqrt(wide.var(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(normalize(x, 1e-5), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rounding", ["round", "round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
def test_nearest_indices_of_an_exact_enlargement(rounding):
    assert nearest_indices(3, 6, "asymmetric", rounding).tolist() in (
        [0, 0, 1, 1, 2, 2],
        [0, 1, 1, 2, 2, 2],
        [0, 0, 1, 2, 2, 2],
    )


MODULES = {
    "conv2d": lambda x: R.nn.conv2d(
        x, constant((8, 2, 3, 3)), strides=[2, 1], padding=[0, 1, 2, 1], dilation=[1, 2], groups=2
    ),
    "max_pool2d": lambda x: R.nn.max_pool2d(x, [3, 2], [2, 2], [1, 0, 1, 1]),
    "max_pool2d_ceil": lambda x: R.nn.max_pool2d(x, [3, 2], [2, 3], ceil_mode=True),
    "avg_pool2d": lambda x: R.nn.avg_pool2d(x, [3, 3], [2, 2], [1, 1, 1, 1]),
    "avg_pool2d_padded": lambda x: R.nn.avg_pool2d(x, [3, 3], [2, 2], [1, 1, 1, 1], count_include_pad=True),
    "avg_pool2d_dilated": lambda x: R.nn.avg_pool2d(x, [2, 2], [1, 1], [0, 0, 0, 0], [2, 1]),
    "avg_pool2d_ceil": lambda x: R.nn.avg_pool2d(x, [3, 3], [2, 2], ceil_mode=True),
    "mean": lambda x: R.mean(x, [2, 3]),
    "mean_last": lambda x: R.mean(x, [-1], keepdims=True),
    "sum": lambda x: R.sum(x, [1]),
    "softmax": lambda x: R.nn.softmax(x, 1),
    "log_softmax": lambda x: R.nn.log_softmax(x, -1),
    "layer_norm": lambda x: R.nn.layer_norm(x, constant((6, 7)), constant((6, 7)), [2, 3]),
    "prelu": lambda x: R.nn.prelu(x, constant((4,))),
    "leakyrelu": lambda x: R.nn.leakyrelu(x, 0.1),
    "gelu": lambda x: R.nn.gelu(x),
    "silu": lambda x: R.nn.silu(x),
    "tanh": lambda x: R.tanh(x),
    "exp": lambda x: R.exp(x),
    "erf": lambda x: R.erf(x),
    "clip": lambda x: R.clip(x, -0.5, 1),
    "pad": lambda x: R.nn.pad(x, [0, 0, 0, 0, 1, 2, 0, 3], "constant", 1.5),
    "pad_reflect": lambda x: R.nn.pad(x, [0, 0, 0, 0, 1, 2, 0, 3], "reflect"),
    "nearest": lambda x: R.image.resize2d(
        x, (13, 10), method="nearest_neighbor", coordinate_transformation_mode="asymmetric", rounding_method="floor"
    ),
    "linear": lambda x: R.image.resize2d(x, (13, 10), method="linear"),
    "linear_corners": lambda x: R.image.resize2d(
        x, (3, 12), method="linear", coordinate_transformation_mode="align_corners"
    ),
    "strided_slice": lambda x: R.strided_slice(x, [2, 3], [1, -1], [6, -100], [2, -2]),
    "split": lambda x: relax.TupleGetItem(R.split(x, [1, 3], 1), 1),
    "concat": lambda x: R.concat([x, x], 1),
    "permute_dims": lambda x: R.permute_dims(x, [0, 3, 1, 2]),
    "argmax": lambda x: R.argmax(x, 1),
    "max": lambda x: R.max(x, [1, 3], keepdims=True),
    "take": lambda x: R.take(x, relax.const(np.array([2, 0]), "int64"), 1),
    "broadcast_to": lambda x: R.broadcast_to(x, (2, 4, 6, 7)),
}


def constant(shape):
    return relax.const(np.random.default_rng(1).normal(size=shape).astype("float32"), "float32")


def test_operators_agree_with_tvm():
    functions, data = {}, np.random.default_rng(0).normal(size=(1, 4, 6, 7)).astype("float32")
    combined = tvm.IRModule(
        {name: module(body, x=[1, 4, 6, 7])["main"].with_attr("global_symbol", name) for name, body in MODULES.items()}
    )
    machine = relax.VirtualMachine(tvm.compile(relax.transform.LegalizeOps()(combined), target="llvm"), tvm.cpu())
    for name, body in MODULES.items():
        functions[name] = machine[name](tvm.runtime.tensor(data)).numpy()
        (got,) = reference.run(module(body, x=[1, 4, 6, 7]), {"x": data})
        np.testing.assert_allclose(got, functions[name], rtol=2e-5, atol=2e-6, err_msg=name)


def test_an_unknown_operator_is_named():
    with pytest.raises(AssertionError, match="relax.cumprod"):
        reference.run(module(lambda x: R.cumprod(x, 0), x=[3]), {"x": np.ones(3, "float32")})


def test_inputs_are_checked():
    identity = module(lambda x: R.nn.relu(x), x=[3])
    with pytest.raises(AssertionError, match=r"input 'x' has shape \(2,\), not \(3,\)"):
        reference.run(identity, {"x": np.ones(2, "float32")})
    with pytest.raises(AssertionError, match="input 'x' is float64"):
        reference.run(identity, {"x": np.ones(3)})
