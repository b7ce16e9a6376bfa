"""Infinities and NaN mean what they mean in ONNX and NumPy."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from graphs import check, make

INF = np.inf
ROWS = np.array(
    [
        [-INF] * 5,
        [INF] * 5,
        [-INF, 3, -INF, INF, 1],
        [1, -2, INF, 4, -INF],
        [0, -0.0, 5, 5, 5],
        [-INF, -INF, -3e38, -INF, -INF],
    ],
    np.float32,
)


def test_extremes_and_their_places():
    """Along every axis of rank 2, 3 and 4, where kernels differ, and of integers."""
    nodes, outputs = [], {}
    for axis in (0, 1):
        for kind in ("ReduceMax", "ReduceMin"):
            nodes.append((kind, "x", f"{kind}{axis}", {"axes": [axis], "keepdims": 0}))
            outputs[f"{kind}{axis}"] = "float32"
        for kind in ("ArgMax", "ArgMin"):
            for last in (0, 1):
                nodes.append((kind, "x", f"{kind}{axis}{last}", {"axis": axis, "select_last_index": last}))
                outputs[f"{kind}{axis}{last}"] = "int64"
    for shape in (ROWS.shape, (3, 2, 5), (2, 3, 5, 1), (1, 6, 5)):
        x = ROWS.reshape(shape)
        check(make(nodes, {"x": x}, outputs), {"x": x}, levels=shape == ROWS.shape)
    whole = np.array([[-(2**31), -(2**31)], [2**31 - 1, 2**31 - 1], [3, 4]], np.int32)
    check(
        make(nodes, {"x": whole}, outputs | {name: "int32" for name in outputs if name.startswith("Reduce")}),
        {"x": whole},
        levels=False,
    )


def test_a_row_with_nan_is_nan():
    x = ROWS.copy()
    x[:, 2] = np.nan
    want = {"high": np.full(6, np.nan, np.float32), "low": np.full(6, np.nan, np.float32)}
    check(
        make(
            [
                ("ReduceMax", "x", "high", {"axes": [1], "keepdims": 0}),
                ("ReduceMin", "x", "low", {"axes": [1], "keepdims": 0}),
            ],
            {"x": x},
            dict.fromkeys(want, "float32"),
        ),
        {"x": x},
        want,
        levels=False,
    )


def test_signs_of_infinity():
    x = np.array([[INF, -INF, np.nan, 0, 1]], np.float32)
    nodes = [
        ("IsInf", "x", "both", {}),
        ("IsInf", "x", "above", {"detect_negative": 0}),
        ("IsInf", "x", "below", {"detect_positive": 0}),
        ("IsInf", "x", "none", {"detect_positive": 0, "detect_negative": 0}),
        ("IsNaN", "x", "nan", {}),
    ]
    want = {
        "both": [1, 1, 0, 0, 0],
        "above": [1, 0, 0, 0, 0],
        "below": [0, 1, 0, 0, 0],
        "none": [0] * 5,
        "nan": [0, 0, 1, 0, 0],
    }
    check(
        make(nodes, {"x": x}, dict.fromkeys(want, "bool")),
        {"x": x},
        {name: np.array([row], bool) for name, row in want.items()},
    )


def test_a_guard_of_rows_that_are_masked_whole():
    """softmax(x) where a row holds a finite number, else zeros, as exporters write attention."""
    nodes = [
        ("ReduceMax", "x", "top", {"axes": [1], "keepdims": 1}),
        ("Equal", "top lowest", "masked", {}),
        ("Where", "masked zero x", "safe", {}),
        ("Softmax", "safe", "shares", {"axis": 1}),
        ("Where", "masked zero shares", "y", {}),
    ]
    x = np.where(ROWS == INF, np.float32(2), ROWS)
    check(
        make(nodes, {"x": x}, {"y": "float32"}, {"lowest": np.float32(-INF), "zero": np.float32(0)}),
        {"x": x},
        rtol=1e-6,
        atol=1e-7,
    )


def test_bounds_of_a_clip():
    x = np.array([[-INF, -5, 0, 5, INF]], np.float32)
    nodes = [
        ("Clip", "x below above", "free", {}),
        ("Clip", "x zero above", "half", {}),
        ("Clip", "x below zero", "other", {}),
    ]
    constants = {"below": np.float32(-INF), "above": np.float32(INF), "zero": np.float32(0)}
    check(make(nodes, {"x": x}, dict.fromkeys(("free", "half", "other"), "float32"), constants), {"x": x}, levels=False)


def test_pooling_of_infinities():
    x = np.full((1, 2, 4, 4), -INF, np.float32)
    x[0, 0, 0, 0] = INF
    nodes = [("MaxPool", "x", "y", {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1]}), ("GlobalMaxPool", "x", "z", {})]
    check(make(nodes, {"x": x}, {"y": "float32", "z": "float32"}), {"x": x})
