"""What an exported library answers for several shapes, and where results are counted."""

import subprocess

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

import octet
from octet.targets.standalone.export import export


def _network(tmp_path, name, nodes, shape, output, constants, **how):
    """A package of an ONNX network of x float32 and y."""
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [output],
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / f"{name}.onnx")
    return octet.load_onnx(tmp_path / f"{name}.onnx", batch=None, **how)


def _ran(run, folder, name):
    run(
        folder,
        "gcc",
        "-std=c99",
        "-Wall",
        "-Wextra",
        "-Werror",
        "main.c",
        "-L.",
        f"-l{name}",
        "-Wl,-rpath,.",
        "-o",
        "selftest",
    )
    return subprocess.run(["./selftest"], cwd=folder, capture_output=True, text=True)


def test_several_shapes(run, tmp_path):
    weight = np.random.default_rng(1).standard_normal((8, 4)).astype(np.float32)
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 4])
    model = _network(
        tmp_path,
        "rows",
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        ["rows", 8],
        output,
        {"w": weight},
        dims={"rows": [2, 6]},
    )
    package = octet.compile(
        octet.quantize(model, {"x": np.random.default_rng(2).standard_normal((8, 6, 8)).astype(np.float32)})
    )
    export(package, tmp_path / "rows", "rows")
    header = (tmp_path / "rows/rows.h").read_text()
    assert (
        "#define ROWS_SHAPES 2" in header
        and "#define ROWS_INPUT_0_SHAPE {6, 8}" in header
        and "#define ROWS_SHAPE_1_OUTPUT_0_SHAPE {2, 4}" in header
    )
    assert _ran(run, tmp_path / "rows", "rows").stdout == "rows: byte for byte as recorded\n"


def test_results_that_are_counted(run, tmp_path):
    """The main program compares as many as there are: what lies behind them is anything."""
    output = helper.make_tensor_value_info("y", TensorProto.INT64, [2, None])
    model = _network(
        tmp_path,
        "places",
        [helper.make_node("Greater", ["x", "zero"], ["large"]), helper.make_node("NonZero", ["large"], ["y"])],
        [3, 6],
        output,
        {"zero": np.float32(0)},
    )
    package = octet.compile(
        octet.quantize(model, {"x": np.random.default_rng(4).standard_normal((12, 6)).astype(np.float32)})
    )
    export(package, tmp_path / "places", "places")
    assert _ran(run, tmp_path / "places", "places").stdout == "places: byte for byte as recorded\n"
    path = tmp_path / "places/places.selftest"
    whole, count = path.read_bytes(), package.selftest["output/y"].shape[1]
    row = 3 * 6 * 8  # In front of these bytes lie the inputs, as many elements of 4 bytes.
    for place, differs in ((count - 1, True), (count, False)):
        at = row // 2 + row + 8 * place  # It is a place of the second row.
        path.write_bytes(whole[:at] + b"\x7f" + whole[at + 1 :])
        assert ("y differs" in _ran(run, tmp_path / "places", "places").stderr) == differs
