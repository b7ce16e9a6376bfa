"""A catalogue of wrong ONNX files: {name: function(model, folder)}, which spoils the tiny network of conftest.py
(weight, Conv, Relu, pool, Flatten). Here: types, extents, values and external data; wrong_graphs.py adds the others."""

import os

import numpy as np
from onnx import TensorProto, helper, numpy_helper

WRONG: dict = {}


def wrong(function):
    WRONG[function.__name__.replace("_", " ")] = function
    return function


def _weight(model):
    return model.graph.initializer[0]


def _each(name, values, change):
    """One entry per value; change(model, value)."""
    for value in values:
        WRONG[f"{name} {value!r:.40}"] = lambda model, folder, value=value: change(model, value)


def _set(place, field):
    return lambda model, value: setattr(place(model), field, value)


# Element types.
_UNSUPPORTED = [
    99,
    999,
    *(
        getattr(TensorProto, name)
        for name in ("UNDEFINED", "STRING", "COMPLEX64", "COMPLEX128", "FLOAT8E4M3FN", "FLOAT8E5M2", "INT4", "UINT4")
    ),
]
_each("weight of type", [*_UNSUPPORTED, -1], _set(_weight, "data_type"))
_each(
    "input of type",
    [*_UNSUPPORTED, -1, TensorProto.BOOL],
    _set(lambda model: model.graph.input[0].type.tensor_type, "elem_type"),
)
_each(
    "output of type",
    [99, 999, -1, TensorProto.INT4, TensorProto.STRING],
    _set(lambda model: model.graph.output[0].type.tensor_type, "elem_type"),
)


# Extents.
def _dims(model, dims):
    del _weight(model).dims[:]
    _weight(model).dims.extend(dims)


_each(
    "weight of extents",
    [
        [4, 3, 3],
        [4, 3, 3, 3, 1, 1],
        [],
        [0],
        [-1, 3, 3, 3],
        [4, 3, 3, 4],
        [1 << 62, 4],
        [1 << 40],
        [1 << 31, 0],
        [1] * 20 + [4, 3, 3, 3],
        [108, 1, 1, 1],
    ],
    _dims,
)


def _input_dims(model, dims):
    shape = model.graph.input[0].type.tensor_type.shape
    del shape.dim[:]
    for extent in dims:
        shape.dim.add(dim_value=extent)


_each(
    "input of extents",
    [
        [],
        [1],
        [1, 3],
        [1, 3, 8],
        [1, 3, 8, 8, 8],
        [1, 4, 8, 8],
        [1, 3, 0, 8],
        [1, 3, -8, 8],
        [10_000_000, 3, 8, 8],
        [1 << 62, 3, 8, 8],
        [1, 3, 1 << 62, 8],
        [1, 3, 1 << 31, 1 << 31],
        [1, 3, 100_000, 100_000],
        [1, 1 << 40, 8, 8],
    ],
    _input_dims,
)


# Values of weights.
def _values(model, change):
    array = numpy_helper.to_array(_weight(model)).copy()
    _weight(model).CopyFrom(numpy_helper.from_array(change(array), "weight"))


for _name, _bad in (("NaN", np.nan), ("inf", np.inf), ("-inf", -np.inf)):
    WRONG[f"weights of {_name}"] = lambda model, folder, bad=_bad: _values(
        model, lambda array: np.full_like(array, bad)
    )
    WRONG[f"a weight of {_name}"] = lambda model, folder, bad=_bad: _values(
        model, lambda array: np.where(np.arange(array.size).reshape(array.shape) == 5, np.float32(bad), array)
    )


def _raw(model, change):
    _weight(model).raw_data = change(_weight(model).raw_data)


for _name, _change in {
    "empty": lambda data: b"",
    "one byte": lambda data: data[:1],
    "one byte short": lambda data: data[:-1],
    "one value short": lambda data: data[:-4],
    "one byte more": lambda data: data + b"x",
    "twice": lambda data: data * 2,
}.items():
    WRONG[f"raw data {_name}"] = lambda model, folder, change=_change: _raw(model, change)


@wrong
def typed_data_too_short(model, folder):
    _weight(model).ClearField("raw_data")
    _weight(model).float_data.extend([1.0] * 107)


@wrong
def typed_data_of_another_type(model, folder):
    _weight(model).ClearField("raw_data")
    _weight(model).int64_data.extend([1] * 108)


@wrong
def no_data_at_all(model, folder):
    _weight(model).ClearField("raw_data")


@wrong
def a_segment(model, folder):
    _weight(model).segment.begin, _weight(model).segment.end = 0, 10


@wrong
def a_sparse_weight(model, folder):
    values = numpy_helper.from_array(np.ones(1, np.float32), "sparse")
    model.graph.sparse_initializer.append(
        helper.make_sparse_tensor(values, numpy_helper.from_array(np.zeros(1, np.int64)), [4])
    )


# External data.
def _external(**entries):
    def change(model, folder):
        tensor = _weight(model)
        data = tensor.raw_data
        (folder / "weights.bin").write_bytes(data)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in ({"location": "weights.bin", "offset": "0", "length": str(len(data))} | entries).items():
            if value is not None:
                tensor.external_data.add(key=key, value=value)

    return change


for _key, _bad in (
    ("offset", ["-1", "-432", "x", "1.5", "0x10", "1e3", "4", "9" * 30, " 0", "\u0663"]),
    ("length", ["-1", "x", "0", "431", "433", "9" * 30, "864", "1e2"]),
    (
        "location",
        [
            "",
            ".",
            "..",
            "/",
            "no.bin",
            "../weights.bin",
            "/etc/passwd",
            "/dev/zero",
            "/proc/kmsg",
            "/proc/self/mem",
            "weights.bin\0",
            "a/../../weights.bin",
            "tiny.onnx/x",
            "x" * 5000,
        ],
    ),
):
    for _value in _bad:
        WRONG[f"external data with {_key} {_value[:30]!a}"] = _external(**{_key: _value})
WRONG["external data without a location"] = _external(location=None)


def _external_file(make):
    def change(model, folder):
        _external()(model, folder)
        (folder / "weights.bin").unlink()
        make(folder / "weights.bin")

    return change


WRONG["external data that are a pipe"] = _external_file(lambda path: os.mkfifo(path))
WRONG["external data that are a folder"] = _external_file(lambda path: path.mkdir())
WRONG["external data that are a link out of the folder"] = _external_file(lambda path: path.symlink_to("/etc/passwd"))
WRONG["external data that are a link to a device"] = _external_file(lambda path: path.symlink_to("/dev/zero"))
WRONG["external data that are a link to itself"] = _external_file(lambda path: path.symlink_to(path.name))
WRONG["external data that are a link to nothing"] = _external_file(lambda path: path.symlink_to("nothing"))
WRONG["external data that are shorter than the tensor"] = _external_file(lambda path: path.write_bytes(bytes(431)))


@wrong
def external_data_of_64_gigabytes(model, folder):
    _external(length=str(1 << 36))(model, folder)
    os.truncate(folder / "weights.bin", 1 << 36)
    _dims(model, [1 << 12, 1 << 12, 1 << 5, 1 << 5])


@wrong
def external_data_of_a_constant_that_are_a_device(model, folder):
    tensor = TensorProto(name="c", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="/dev/zero")
    model.graph.node.insert(0, helper.make_node("Constant", [], ["c"], value=tensor))


def save(model, path) -> None:
    path.write_bytes(model.SerializeToString())
