"""--io int8: libraries for callers that quantise, and packages that hold the code for them."""

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper, save

import octet
from octet.passes.realize.requantize import TensorQParams
from octet.targets.errors import OctetError
from octet.targets.manifest.checks import manifest_of
from octet.targets.opening import open_session
from octet.targets.package import read_package
from octet.targets.registry import TARGETS
from octet.targets.standalone.export import ExportForm, codes, export
from octet.tools.building.boundary import check_boundary
from octet.tools.main import main


def test_the_same_answers_as_in_float(small):
    variant = small.variants[0]
    (x,), (y,) = variant.integer.inputs, variant.integer.outputs
    assert (x.dtype, x.shape, y.dtype, y.quantization) == (
        "int8",
        (1, 3, 8, 8),
        "float32",
        None,
    )  # What ends in float stays so.
    params, random = TensorQParams(*x.quantization), np.random.default_rng(0)
    with open_session(variant) as floats, open_session(variant.integer) as integers:
        for given in random.integers(-128, 128, (10, 1, 3, 8, 8)).astype(np.int8):
            assert (
                integers.run({"x": given})["y"].tobytes() == floats.run({"x": params.dequantize(given)})["y"].tobytes()
            )


def test_codes_are_those_of_the_network():
    values = np.concatenate([np.linspace(-9, 9, 4001), [np.inf, -np.inf, 0.5, 1.5, -0.5]]).astype(np.float32)
    for scale, zero_point in ((0.05, -3), (1.0, 0), (0.0078, 127)):
        assert (codes(values, scale, zero_point) == TensorQParams(scale, zero_point).quantize(values)).all()


def test_the_library(exported, run, small):
    header = (exported["codes"] / "small.h").read_text()
    (scale,), (zero_point,) = (re.findall(rf"SMALL_INPUT_0_{key} (.*)", header) for key in ("SCALE", "ZERO_POINT"))
    assert (float(scale), int(zero_point)) == small.variants[0].integer.inputs[0].quantization
    assert (
        "#define SMALL_INPUT_0_TYPE int8_t" in header
        and "SMALL_OUTPUT_0_SCALE" not in header
        and "_SCALE" not in (exported["shared"] / "small.h").read_text()
    )
    run(
        exported["codes"],
        "gcc",
        "-std=c99",
        "-Wall",
        "-Wextra",
        "-Werror",
        "main.c",
        "-L.",
        "-lsmall",
        "-Wl,-rpath,.",
        "-o",
        "selftest",
    )
    assert run(exported["codes"], "./selftest") == "small: byte for byte as recorded\n"
    assert len((exported["codes"] / "small.selftest").read_bytes()) == 3 * 8 * 8 + 5 * 4


def test_a_file_keeps_the_code(small, tmp_path):
    small.save(tmp_path / "small.octet")
    read = read_package(tmp_path / "small.octet")
    assert (
        read.variants[0].integer.inputs == small.variants[0].integer.inputs
        and read.variants[0].integer.outputs == small.variants[0].integer.outputs
    )
    assert json.loads(read.written()[0])["integer"] == json.loads(small.written()[0])["integer"]
    with open_session(read.variants[0].integer) as session:
        session.run({"x": np.zeros((1, 3, 8, 8), np.int8)})


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda entry: entry["integer"].append(entry["integer"][0]), "describes 2 of 1 shapes"),
        (lambda entry: entry["integer"][0]["inputs"][0].update(shape=[1, 3, 8, 9]), r"x is of shape \[1, 3, 8, 9\]"),
        (lambda entry: entry["integer"][0]["inputs"][0].update(dtype="uint8"), "is quantised, as uint8"),
        (lambda entry: entry["integer"][0]["inputs"][0].update(quantization=None), "not of the names, types and ranks"),
        (lambda entry: entry["integer"][0]["inputs"][0].update(quantization=[0.0, 3]), "quantization"),
        (lambda entry: entry["integer"][0]["variants"].clear(), "length"),
    ],
)
def test_manifests_that_do_not_fit_together(small, change, said):
    values = json.loads(small.written()[0])
    manifest_of(values)
    change(values)
    with pytest.raises(ValueError, match=said):
        manifest_of(values)


def _saved(path, nodes, constants, output=(1, 4, 4, 4)):
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 4, 8, 8))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return octet.load_onnx(path)


def test_results_that_are_quantised_are_codes(run, tmp_path):
    """As networks that come quantised have them."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["a"]),
        helper.make_node("DequantizeLinear", ["a", "scale", "zero"], ["b"]),
        helper.make_node("MaxPool", ["b"], ["c"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("QuantizeLinear", ["c", "scale", "zero"], ["d"]),
        helper.make_node("DequantizeLinear", ["d", "scale", "zero"], ["y"]),
    ]
    model = _saved(tmp_path / "net.onnx", nodes, {"scale": np.float32(0.03), "zero": np.int8(5)})
    package = octet.compile(octet.quantize(model, recipe=octet.Recipe(io="int8")))
    variant = package.variants[0].integer
    assert [(one.dtype, one.quantization) for one in (*variant.inputs, *variant.outputs)] == 2 * [
        ("int8", (float(np.float32(0.03)), 5))
    ]
    export(package, tmp_path / "net", "net", form=ExportForm(codes=True))
    run(tmp_path / "net", "gcc", "-std=c99", "main.c", "-L.", "-lnet", "-Wl,-rpath,.", "-o", "selftest")
    assert run(tmp_path / "net", "./selftest") == "net: byte for byte as recorded\n"


def test_what_has_no_codes_is_said(toy_package, tmp_path):
    done = CliRunner().invoke(main, ["export", str(toy_package), "-o", str(tmp_path / "out"), "--io", "int8"])
    assert (
        done.exit_code == 2
        and done.output
        == "octet: error: --io int8: the package has no code for callers that quantise; "
        "compile it with: compile-model ... --io int8\n"
    )
    model = _saved(tmp_path / "net.onnx", [helper.make_node("Sin", ["x"], ["y"])], {}, (1, 4, 8, 8))
    hub = octet.quantize(
        model, {"x": np.random.default_rng(0).standard_normal((8, 4, 8, 8)).astype(np.float32)}, octet.Recipe(io="int8")
    )
    with pytest.raises(
        OctetError, match="--io int8: no input and no output of the network is quantised .x: .* leave it out"
    ):
        octet.compile(hub, policy="int8")
    gpu = next(spec for spec in TARGETS.values() if spec.kind == "cuda")
    with pytest.raises(OctetError, match=f"target {gpu.name}: --io int8 is for CPUs"):
        check_boundary((gpu,), octet.Recipe(io="int8"))
