"""Integers: a defined result for all operands of divisions, remainders and shifts, and never a signal."""

import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

sys.path.insert(0, str(Path(__file__).parent))
from graphs import check, make

RNG = np.random.default_rng(0)
TYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def operands(dtype):
    """Every pair of the numbers that are special, and some others."""
    limits = np.iinfo(dtype)
    some = np.array(
        [0, 1, 2, 3, 7, limits.max, limits.max - 1, limits.min, limits.min + 1, *([-1, -2, -7] if limits.min else [])],
        dtype,
    )
    x, y = (each.reshape(-1) for each in np.meshgrid(some, some))
    more = RNG.integers(limits.min, limits.max, (2, 20), dtype=dtype, endpoint=True)
    return np.concatenate([x, more[0]]), np.concatenate([y, more[1]])


def whole(x, y, low):
    """(quotient, remainder), truncated, in Python's integers: x / 0 = 0 and x mod 0 = 0, lowest / -1 = lowest."""
    quotient = [
        0
        if b == 0
        else int(a)
        if (a, b) == (low, -1)
        else (abs(int(a)) // abs(int(b))) * (1 if (a < 0) == (b < 0) else -1)
        for a, b in zip(x, y)
    ]
    return quotient, [
        0 if b == 0 else int(a) - abs(int(a)) // abs(int(b)) * abs(int(b)) * (1 if a >= 0 else -1) for a, b in zip(x, y)
    ]


@pytest.mark.parametrize("dtype", TYPES)
def test_every_operand_has_a_result(dtype):
    x, y = operands(dtype)
    low, bits = np.iinfo(dtype).min, np.dtype(dtype).itemsize * 8
    quotient, rest = whole(x.tolist(), y.tolist(), low if low else None)
    floored = [r + b if r and (r < 0) != (b < 0) else r for r, b in zip(rest, y.tolist())]
    outside = [not 0 <= n < bits for n in y.tolist()]
    left = [0 if far else (a << n) & (2**bits - 1) for a, n, far in zip(x.tolist(), y.tolist(), outside)]
    right = [(-1 if a < 0 else 0) if far else a >> n for a, n, far in zip(x.tolist(), y.tolist(), outside)]
    nodes = [
        ("Div", "x y", "quotient", {}),
        ("Mod", "x y", "floored", {}),
        ("Mod", "x y", "rest", {"fmod": 1}),
        ("BitShift", "x y", "left", {"direction": "LEFT"}),
        ("BitShift", "x y", "right", {"direction": "RIGHT"}),
    ]
    want = {
        "quotient": quotient,
        "floored": floored,
        "rest": rest,
        "left": np.array(left, f"uint{bits}").astype(dtype),
        "right": right,
    }
    if dtype not in ("int8", "uint8", "int32", "int64"):  # No input has another type.
        nodes = [
            ("Cast", f"{each}_wide", each, {"to": helper.np_dtype_to_tensor_dtype(np.dtype(dtype))}) for each in "xy"
        ] + nodes
        x, y = (each.astype(np.int64) for each in (x, y))
    names = ("x", "y") if len(nodes) == 5 else ("x_wide", "y_wide")
    feed = dict(zip(names, (x, y)))
    check(
        make(nodes, feed, dict.fromkeys(want, dtype), opset=28),
        feed,
        {name: np.array(value, dtype) for name, value in want.items()},
        levels=dtype in ("int8", "int64"),
    )


def test_remainders_of_floats():
    some = np.array([0.0, -0.0, 1.5, -1.5, 7.25, -3.0, np.inf, -np.inf, np.nan, 1e30], np.float32)
    x, y = (each.reshape(-1).copy() for each in np.meshgrid(some, some))
    with np.errstate(all="ignore"):
        rest = np.fmod(x, y)
        floored = np.where((rest != 0) & ((rest < 0) != (y < 0)), rest + y, rest)
    nodes = [("Mod", "x y", "rest", {"fmod": 1}), ("Mod", "x y", "floored", {})]
    check(
        make(nodes, {"x": x, "y": y}, {"rest": "float32", "floored": "float32"}, opset=28),
        {"x": x, "y": y},
        {"rest": rest, "floored": floored},
    )


@pytest.mark.parametrize("extents", [(3,), (5, 17)])
def test_truths_are_compared(extents):
    """Given or computed, with one another or with themselves."""
    inputs = {"a": RNG.random((2, *extents)) < 0.5, "b": RNG.random(extents) < 0.5, "x": RNG.random((2, *extents))}
    inputs["x"] = np.rint(inputs["x"]).astype("float32")
    nodes = [
        ("Equal", "a b", "given", {}),
        ("Cast", "x", "c", {"to": TensorProto.BOOL}),
        ("Equal", "a c", "computed", {}),
        ("Equal", "c c", "itself", {}),
    ]
    check(make(nodes, inputs, dict.fromkeys(("given", "computed", "itself"), "bool")), inputs)
