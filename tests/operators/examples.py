"""One valid call of every form of every operator: (operands as (shape, dtype), attributes)."""

_GEOMETRY = {"strides": [2, 1], "padding": [1, 1, 0, 0], "dilation": [1, 1], "groups": 1}
_STORE = {"out_zero_point": 3, "clip_min": -128, "clip_max": 127}
_REAL = {"clip_min": float("-inf"), "clip_max": float("inf")}
_RESIDUAL = {"residual_zero_point": -5, "residual_multiplier": 0.5}
_IMAGE = ([2, 4, 5, 6], "int8")
_WINDOW = {"pool_size": [3, 3], "strides": [2, 2], "padding": [1, 1, 1, 1], "count_include_pad": 0}
_REQUANTIZE = {"data_zero_point": 1, "multiplier": 0.7} | _STORE
_PAIR = {"a_zero_point": 1, "b_zero_point": -2} | _STORE
_STEP = [([2, 12], "float32"), ([2, 12], "float32"), ([2, 3], "float32")]
_NUMBER = ([], "int64")
_OBSERVE = {"edge": 0, "group": 0, "scheme": "affine", "source": 1, "made": 0, "tensor": "x"}


def _layer(kind, weight, *rest):
    return [
        ([2, 4, 5, 6] if len(weight) == 4 else [2, 3, 4], kind),
        (weight, "int8" if kind == "int8" else "float32"),
        ([8], "int32" if kind == "int8" else "float32"),
        *rest,
    ]


_VECTOR = ([8], "float32")
_CONV, _DENSE, _FLOAT_DENSE = [8, 4, 3, 3], [8, 4], [4, 8]
EXAMPLES = {
    "octet.conv2d": [
        (
            _layer("int8", _CONV, _VECTOR, ([2, 8, 2, 5], "int8")),
            _GEOMETRY | _STORE | _RESIDUAL | {"data_zero_point": 0, "out_dtype": "int8"},
            ([2, 8, 2, 5], "int8"),
        ),
        (
            _layer("int8", _CONV, _VECTOR),
            _GEOMETRY | _REAL | {"data_zero_point": 0, "out_dtype": "float32"},
            ([2, 8, 2, 5], "float32"),
        ),
        (_layer("float32", _CONV), _GEOMETRY | _REAL | {"out_dtype": "float32"}, ([2, 8, 2, 5], "float32")),
        (_layer("bfloat16", _CONV), _GEOMETRY | _REAL | {"out_dtype": "bfloat16"}, ([2, 8, 2, 5], "bfloat16")),
    ],
    "octet.dense": [
        (
            _layer("int8", _DENSE, _VECTOR, ([2, 3, 8], "int8")),
            _STORE | _RESIDUAL | {"data_zero_point": 0, "out_dtype": "int8"},
            ([2, 3, 8], "int8"),
        ),
        (
            _layer("int8", _DENSE, _VECTOR),
            _REAL | {"data_zero_point": 0, "out_dtype": "float32"},
            ([2, 3, 8], "float32"),
        ),
        (
            _layer("float32", _FLOAT_DENSE, ([2, 3, 8], "float32")),
            _REAL | {"out_dtype": "float32"},
            ([2, 3, 8], "float32"),
        ),
        (_layer("bfloat16", _FLOAT_DENSE), _REAL | {"out_dtype": "float32"}, ([2, 3, 8], "float32")),
    ],
    "octet.matmul": [
        (
            [([2, 1, 3, 4], "int8"), ([5, 4, 6], "int8")],
            {"multiplier": 0.1, "out_dtype": "int8"} | _STORE,
            ([2, 5, 3, 6], "int8"),
        ),
        (
            [([3, 4], "int8"), ([4, 6], "int8")],
            {"multiplier": 0.1, "out_dtype": "float32"} | _REAL,
            ([3, 6], "float32"),
        ),
    ],
    "octet.add": [
        (
            [([2, 1, 4], "int8"), ([3, 4], "int8")],
            _PAIR | {"a_multiplier": 0.5, "b_multiplier": -0.5},
            ([2, 3, 4], "int8"),
        )
    ],
    "octet.mul": [([([2, 3], "int8"), ([1], "int8")], _PAIR | {"multiplier": 0.5}, ([2, 3], "int8"))],
    "octet.requantize": [([_IMAGE], _REQUANTIZE, _IMAGE)],
    "octet.table": [([_IMAGE, ([4, 256], "int8")], {}, _IMAGE)],
    "octet.softmax": [([([2, 9], "int8"), ([256], "int32")], {"levels": 127, "out_zero_point": 0}, ([2, 9], "int8"))],
    "octet.embedding": [([([7, 5], "int8"), ([7], "float32"), ([2, 3], "int64")], {}, ([2, 3, 5], "float32"))],
    "octet.unary": [([([2, 9], "float32")], {"kind": "hard_sigmoid", "alpha": 0.2, "beta": 0.5}, ([2, 9], "float32"))],
    "octet.bfloat16": [([([2, 9], "float32")], {}, ([2, 9], "bfloat16"))],
    "octet.lstm_state": [(_STEP, {}, ([2, 3], "float32"))],
    "octet.lstm_output": [(_STEP, {}, ([2, 3], "float32"))],
    "octet.gru_output": [([([2, 9], "float32"), ([2, 9], "float32"), ([2, 3], "float32")], {}, ([2, 3], "float32"))],
    "octet.loop_index": [([], {"steps": 5, "reverse": 0}, ([], "int64"))],
    "octet.loop_slice": [([([5, 2, 3], "float32"), _NUMBER], {}, ([2, 3], "float32"))],
    "octet.loop_state": [([([2, 3], "float32"), _NUMBER], {"index": 1}, ([2, 3], "float32"))],
    "octet.loop_stack": [([([2, 3], "float32"), _NUMBER, ([2, 3], "float32")], {"steps": 5}, ([5, 2, 3], "float32"))],
    "octet.loop_last": [([([2, 3], "float32"), _NUMBER, ([2, 3], "float32")], {}, ([2, 3], "float32"))],
    "octet.avg_pool2d": [([_IMAGE], _WINDOW | _REQUANTIZE, ([2, 4, 3, 3], "int8"))],
    "octet.resize2d": [
        (
            [_IMAGE, ([10, 3], "int32"), ([7, 3], "int32")],
            {"row_units": 4, "column_units": 2} | _REQUANTIZE,
            ([2, 4, 10, 7], "int8"),
        )
    ],
    "octet.interleave": [
        ([_IMAGE], {"strides": [2, 3], "fill": -128}, ([2, 4, 9, 16], "int8")),
        ([(_IMAGE[0], "float32")], {"strides": [2, 3], "fill": 0.5}, ([2, 4, 9, 16], "float32")),
    ],
    "octet.depth_to_space": [([_IMAGE], {"strides": [1, 2]}, ([2, 2, 5, 12], "int8"))],
    "octet.frame": [
        ([_IMAGE], {"padding": [1, 2, 0, 3], "fill": [-128, 127, 0, 5]}, ([2, 4, 6, 11], "int8")),
        (
            [(_IMAGE[0], "float32")],
            {"padding": [0, 0, 1, 1], "fill": [0.5, 1.0, -2.0, 7.25]},
            ([2, 4, 6, 7], "float32"),
        ),
    ],
    "octet.bits": [([([2, 9], "float32")], {}, ([2, 9], "int32")), ([([2, 9], "int32")], {}, ([2, 9], "float32"))],
    "octet.scatter_add": [
        ([([3, 5], "float32"), ([4, 5], "float32"), ([4], "int64")], {}, ([3, 5], "float32")),
    ],
    "octet.nonzero": [([([2, 9], "bool")], {}, ([2, 18], "int64"))],
    "octet.non_max_suppression": [
        (
            [([2, 9, 4], "float32"), ([2, 3, 9], "float32")],
            {"most": 5, "overlap": 0.5, "centers": 0},
            ([30, 3], "int64"),
        )
    ],
    "octet.observe": [
        ([([2, 9], "float32")], _OBSERVE | {"spec": "fixed", "low": 0.0, "high": 1.0}, ([2, 9], "float32"))
    ],
    "octet.statistics": [([([2, 9], "float32")], {"samples": 5}, ([277], "float32"))],
    "octet.fake_quantize": [([([2, 9], "float32"), ([16], "float32")], {}, ([2, 9], "float32"))],
}
