"""The referee's integer operators against loops over single elements, on shapes that no block size divides."""

from itertools import product

import numpy as np
from hypothesis import given, settings, strategies as st
from tvm import relax

import octet.passes  # noqa: F401 - registers the operators
from octet.passes import ops
from octet.passes.referee.reference import evaluate

F32 = np.float32
quick = settings(max_examples=25, deadline=None, derandomize=True)
zero_points = st.sampled_from([-128, -7, 0, 3, 127])


def run(name, arrays, **attrs):
    operands = [relax.Var(f"a{i}", relax.TensorType(a.shape, str(a.dtype))) for i, a in enumerate(arrays)]
    call = relax.BlockBuilder().normalize(ops.call(name, operands, **attrs))
    result = evaluate(call, list(arrays))
    assert list(result.shape) == [int(d) for d in call.ty.shape.values] and str(result.dtype) == call.ty.dtype
    return result


def codes(rng, shape):
    return rng.integers(-128, 128, shape).astype("int8")


def stored(value, attrs):
    """clip(rne(value) + zero point) of one float32."""
    assert type(value) is F32
    return min(max(int(np.rint(value)) + attrs["out_zero_point"], attrs["clip_min"]), attrs["clip_max"])


def epilogue(acc, channel, bias, multiplier, residual, attrs):
    value = F32(acc + int(bias[channel])) * multiplier[channel]
    if attrs["out_dtype"] == "float32":
        return min(max(value, F32(attrs["clip_min"])), F32(attrs["clip_max"]))
    if residual is not None:
        value = F32(value + F32(int(residual) - attrs["residual_zero_point"]) * F32(attrs["residual_multiplier"]))
    return stored(value, attrs)


@st.composite
def convolutions(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    groups, depth, multiple = (draw(st.integers(1, 3)) for _ in range(3))
    kernel, strides, dilation = ([draw(st.integers(1, 3)) for _ in range(2)] for _ in range(3))
    padding = [draw(st.integers(0, 2)) for _ in range(4)]
    size = [draw(st.integers(dilation[i] * (kernel[i] - 1) + 1, 8)) for i in (0, 1)]
    data = codes(rng, (draw(st.integers(1, 2)), groups * depth, *size))
    weight = rng.integers(-127, 128, (groups * multiple, depth, *kernel)).astype("int8")
    return rng, data, weight, {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}


def epilogue_attrs(draw, out_dtype):
    if out_dtype == "float32":
        low, high = draw(st.sampled_from([(0.0, 6.0), (-np.inf, np.inf), (-1.0, np.inf)]))
        return {
            "out_zero_point": 0,
            "clip_min": low,
            "clip_max": high,
            "residual_zero_point": 0,
            "residual_multiplier": 0.0,
            "out_dtype": out_dtype,
        }
    low, high = draw(st.sampled_from([(-128, 127), (-100, 50), (0, 127)]))
    return {
        "out_zero_point": draw(zero_points),
        "clip_min": low,
        "clip_max": high,
        "residual_zero_point": draw(zero_points),
        "residual_multiplier": float(F32(0.37)),
        "out_dtype": out_dtype,
    }


@quick
@given(convolutions(), st.sampled_from(["int8", "int8 with residual", "float32"]), st.data())
def test_conv2d(convolution, kind, draw):
    rng, data, weight, geometry = convolution
    attrs = geometry | epilogue_attrs(draw.draw, kind.split()[0]) | {"data_zero_point": draw.draw(zero_points)}
    channels, depth, kh, kw = weight.shape
    bias = rng.integers(-5000, 5000, channels).astype("int32")
    multiplier = rng.uniform(1e-4, 1e-2, channels).astype("float32")
    (top, left, bottom, right), (sh, sw), (dh, dw) = (attrs[key] for key in ("padding", "strides", "dilation"))
    n, _, h, w = data.shape
    shape = (
        n,
        channels,
        (h + top + bottom - dh * (kh - 1) - 1) // sh + 1,
        (w + left + right - dw * (kw - 1) - 1) // sw + 1,
    )
    residual = codes(rng, shape) if "residual" in kind else None
    expected = np.empty(shape, attrs["out_dtype"])
    for b, o, y, x in product(*map(range, shape)):
        acc = 0
        for c, i, j in product(range(depth), range(kh), range(kw)):
            row, column = y * sh + i * dh - top, x * sw + j * dw - left
            if 0 <= row < h and 0 <= column < w:
                first = o // (channels // attrs["groups"]) * depth
                acc += (int(data[b, first + c, row, column]) - attrs["data_zero_point"]) * int(weight[o, c, i, j])
        expected[b, o, y, x] = epilogue(
            acc, o, bias, multiplier, None if residual is None else residual[b, o, y, x], attrs
        )
    arrays = [data, weight, bias, multiplier] + ([] if residual is None else [residual])
    np.testing.assert_array_equal(run("octet.conv2d", arrays, **attrs), expected)


@quick
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(1, 4), min_size=1, max_size=2),
    st.integers(1, 40),
    st.integers(1, 9),
    st.booleans(),
    st.data(),
)
def test_dense(seed, rows, depth, channels, with_residual, draw):
    rng = np.random.default_rng(seed)
    attrs = epilogue_attrs(draw.draw, "int8") | {"data_zero_point": draw.draw(zero_points)}
    data, weight = codes(rng, (*rows, depth)), rng.integers(-127, 128, (channels, depth)).astype("int8")
    bias, multiplier = (
        rng.integers(-5000, 5000, channels).astype("int32"),
        rng.uniform(1e-4, 1e-2, channels).astype("float32"),
    )
    residual = codes(rng, (*rows, channels)) if with_residual else None
    expected = np.empty((*rows, channels), "int8")
    for index in product(*map(range, expected.shape)):
        o = index[-1]
        acc = sum((int(q) - attrs["data_zero_point"]) * int(v) for q, v in zip(data[index[:-1]], weight[o]))
        expected[index] = epilogue(acc, o, bias, multiplier, None if residual is None else residual[index], attrs)
    np.testing.assert_array_equal(
        run("octet.dense", [data, weight, bias, multiplier] + ([residual] if with_residual else []), **attrs), expected
    )


@quick
@given(st.integers(0, 2**32 - 1), zero_points, zero_points, zero_points)
def test_add_mul_requantize_matmul(seed, za, zb, zy):
    rng = np.random.default_rng(seed)
    a, b = codes(rng, (2, 3, 4, 5)), codes(rng, (1, 3, 1, 5))
    ma, mb, m = (F32(v) for v in rng.uniform(0.001, 1.5, 3))
    attrs = {"out_zero_point": zy, "clip_min": -120, "clip_max": 100}
    got_add = run(
        "octet.add", [a, b], a_zero_point=za, b_zero_point=zb, a_multiplier=float(ma), b_multiplier=float(mb), **attrs
    )
    got_mul = run("octet.mul", [a, b], a_zero_point=za, b_zero_point=zb, multiplier=float(m), **attrs)
    got_requantize = run("octet.requantize", [a], data_zero_point=za, multiplier=float(m), **attrs)
    for index in product(*map(range, a.shape)):
        p, q = int(a[index]) - za, int(b[0, index[1], 0, index[3]]) - zb
        assert got_add[index] == stored(F32(F32(p) * ma + F32(q) * mb), attrs)
        assert got_mul[index] == stored(F32(p * q) * m, attrs)
        assert got_requantize[index] == stored(F32(p) * m, attrs)
    left, right = codes(rng, (2, 3, 5)), codes(rng, (5, 4))
    zero_points = {"a_zero_point": za, "b_zero_point": zb}
    got = run("octet.matmul", [left, right], multiplier=float(m), out_dtype="int8", **zero_points, **attrs)
    for i, j, k in product(*map(range, got.shape)):
        acc = sum((int(p) - za) * (int(q) - zb) for p, q in zip(left[i, j], right[:, k]))
        assert got[i, j, k] == stored(F32(acc) * m, attrs)


@quick
@given(st.integers(0, 2**32 - 1), zero_points, zero_points, st.booleans(), st.data())
def test_avg_pool2d(seed, zx, zy, padded, draw):
    rng = np.random.default_rng(seed)
    pool, strides = [draw.draw(st.integers(1, 3)) for _ in range(2)], [draw.draw(st.integers(1, 3)) for _ in range(2)]
    padding = [draw.draw(st.integers(0, pool[axis % 2] - 1)) for axis in range(4)]
    data = codes(rng, (1, 3, draw.draw(st.integers(3, 7)), draw.draw(st.integers(3, 7))))
    attrs = {"out_zero_point": zy, "clip_min": -128, "clip_max": 127}
    window = {"pool_size": pool, "strides": strides, "padding": padding, "count_include_pad": int(padded)}
    got = run("octet.avg_pool2d", [data], **window, **attrs, data_zero_point=zx, multiplier=float(F32(1.3)))
    for b, c, y, x in product(*map(range, got.shape)):
        taps = [
            (y * strides[0] + i - padding[0], x * strides[1] + j - padding[1])
            for i, j in product(range(pool[0]), range(pool[1]))
        ]
        inside = [int(data[b, c, i, j]) - zx for i, j in taps if 0 <= i < data.shape[2] and 0 <= j < data.shape[3]]
        count = F32(len(taps) if padded else len(inside))
        assert got[b, c, y, x] == stored(F32(sum(inside)) * (F32(1.3) / count), attrs)


def test_tables_of_tensors_and_channels():
    rng = np.random.default_rng(0)
    data, table = codes(rng, (2, 3, 4, 5)), codes(rng, 256)
    got = run("octet.table", [data, table])
    rows = codes(rng, (3, 256))
    by_channel = run("octet.table", [data, rows])
    for index in product(*map(range, data.shape)):
        assert got[index] == table[int(data[index]) + 128]
        assert by_channel[index] == rows[index[1], int(data[index]) + 128]


def test_interleave():
    data = np.arange(1, 7, dtype="int8").reshape(1, 1, 2, 3)
    got = run("octet.interleave", [data], strides=[2, 3], fill=-9)
    assert got.tolist() == [[[[1, -9, -9, 2, -9, -9, 3], [-9] * 7, [4, -9, -9, 5, -9, -9, 6]]]]


def test_depth_to_space():
    """Two channels in two phases of columns: the phases' channels lie together."""
    data = np.arange(8, dtype="int8").reshape(1, 4, 1, 2)
    got = run("octet.depth_to_space", [data], strides=[1, 2])
    assert got.tolist() == [[[[0, 4, 1, 5]], [[2, 6, 3, 7]]]]


def test_frame():
    data = np.arange(1, 5, dtype="int8").reshape(1, 2, 1, 2)
    got = run("octet.frame", [data], padding=[1, 0, 0, 1], fill=[-9, 9])
    assert got.tolist() == [[[[-9, -9, -9], [1, 2, -9]], [[9, 9, 9], [3, 4, 9]]]]
