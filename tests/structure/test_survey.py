"""The survey of public files: which files count as one, what loads them, which integers are tokens, and its table."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from .test_gallery import script  # noqa: F401


def _model(rows=7, seed=0, extent="length"):
    """ids [batch, length] -> the sum of their vectors, [batch, 4]."""
    table = np.random.default_rng(seed).standard_normal((rows, 4)).astype("float32")
    nodes = [
        helper.make_node("Cast", ["ids"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "whole"], ["vectors"]),
        helper.make_node("ReduceMean", ["vectors"], ["mean"], axes=[1], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "tokens",
        [helper.make_tensor_value_info("ids", TensorProto.INT32, ["batch", extent])],
        [helper.make_tensor_value_info("mean", TensorProto.FLOAT, ["batch", 4])],
        [numpy_helper.from_array(table, "table")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def test_files_of_other_weights_are_one_structure(script):  # noqa: F811
    structure = script("survey_samples").structure
    one, other, wider = (_model(*made).SerializeToString() for made in ((7, 0), (7, 1), (8, 0)))
    assert structure(one) == structure(other) != structure(wider)


def test_tokens_are_rows_of_their_table(script):  # noqa: F811
    assert script("survey_samples").rows_looked_up(_model(rows=7).graph) == {"ids": 7}


@pytest.mark.parametrize(
    "wanted, options", [((), ["--dim", "length=128"]), (("--dim", "length=5"), ["--dim", "length=5"])]
)
def test_options_are_chosen_or_what_a_refusal_suggests(script, tmp_path, wanted, options):  # noqa: F811
    path = tmp_path / "tokens.onnx"
    path.write_bytes(_model().SerializeToString())
    model, found, error = script("survey_samples").loaded(str(path), wanted)
    assert (found, error) == (options, "") and model.inputs[0].shape == (1, int(options[1].split("=")[1]))


def test_what_cannot_load_says_why(script, tmp_path):  # noqa: F811
    path = tmp_path / "tokens.onnx"
    path.write_bytes(_model().SerializeToString())
    model, found, error = script("survey_samples").loaded(str(path), ("--dim", "breadth=5"))
    assert model is None and "breadth" in error


def test_the_table_shows_the_fastest_and_the_reason(script):  # noqa: F811
    survey = script("survey")
    compiled = {"wall": 9.0, "cpu": 8.1, "line": ""}
    timed = {
        "name": "one",
        "options": [],
        "error": "",
        "compile": compiled,
        "agreement": {"sqnr_db": 40.04},
        "operators": {"int8": 3, "float": 1},
        "milliseconds": {"octet-int8": 1.5, "openvino-int8": 2.0},
    }
    refused = {"name": "two", "options": ["--dim", "n=2"], "error": "two.onnx: no"}
    _, _, first, second = survey.table([timed, refused]).splitlines()
    assert first == "| one |  | 9.0 / 8.1 | 40.0 | **1.500** | 2.000 |  |  |  |  | 3 / 1 |"
    assert second == "| two | --dim n=2 |  | two.onnx: no |  |  |  |  |  |  |  |"
