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


def _tried():
    """What was found of a network that was timed and of one that was refused."""
    compiled = {"wall": 190.0, "cpu": 8.1, "peak": 1_500_000_000, "load": 4.3, "line": ""}
    timed = {
        "name": "one",
        "options": [],
        "error": "",
        "samples": "noise",
        "compiled by": "a1",
        "timed by": "a1",
        "compile": compiled,
        "agreement": {"sqnr_db": 40.04},
        "decisions": {"decision": "text", "same": 8, "asked": 9},
        "operators": {"int8": 3, "float": 1},
        "milliseconds": {"octet-int8": 1.5, "openvino-int8": 2.0, "octet-fp32": 1.4},
    }
    refused = {"name": "two", "options": ["--dim", "n=2"], "compiled by": "a1", "error": "two.onnx: no"}
    return [timed, refused]


def test_the_table_shows_the_fastest_and_the_reason(script):  # noqa: F811
    _, _, first, second = script("survey_table").table(_tried()).splitlines()
    assert first == (
        "| one | a1 |  | noise | 8.1 | 190.0 | 1.5 | 40.0 | text: 8 of 9 | 1.500 | 2.000 |  | **1.400** |  |  | 3 / 1 |"
    )
    assert second == "| two | a1 | --dim n=2 |  |  |  |  | two.onnx: no |  |  |  |  |  |  |  |  |"


def test_rows_of_networks_that_are_not_tried_again_stay(script, tmp_path, monkeypatch):  # noqa: F811
    module, document = script("survey_table"), tmp_path / "gallery.md"
    monkeypatch.setattr(module, "DOCUMENT", document)
    one, two = _tried()
    reports = [one | {"timed by": "b2"}, two]
    old = module.table(reports)
    assert module.table(module.read(old)) == old
    document.write_text(f"above\n{module.BEGIN}\n{old}\n{module.END}\nbelow\n")
    fresh = {**one, "compiled by": "c3"}
    untimed = {key: value for key, value in fresh.items() if key not in ("milliseconds", "timed by")}
    module.written([untimed])
    left, table = document.read_text(), module.table([{**fresh, "timed by": "b2"}, two])
    assert left.startswith("above\n") and left.endswith(f"\n\n{table}\n{module.END}\nbelow\n")
    assert "2 structures tried: 1 load" in left and "Timed: 1 by b2." in left


def test_what_was_tried_is_counted(script):  # noqa: F811
    loaded, spent, fast = script("survey_table").summary(_tried()).split("\n\n")
    assert loaded == (
        "2 structures tried: 1 load and compile by the default command, 1 of them as shipped; two not. Of 1 with float "
        "outputs 1 agree with fp32 to 20 dB or more on held-out samples. Of 1 whose decisions are asked, 0 decide as "
        "fp32 every time, 0 in at least 98 of 100 cases, 0 in at least 95."
    )
    assert spent.startswith(
        "Compiling took 8 s of processor time in the median, 8 s at the most; by the clock of a mach"
    )
    assert "Longer than 180 s: by processor time none, by the clock one." in spent
    assert fast.startswith("Of 1 that were timed, 1 are faster than every peer that runs them, by 1.3 times in the me")
    assert "0 than Octet's own fp32. Not faster than a peer: none." in fast


def test_versions_are_counted(script):  # noqa: F811
    first, refused = _tried()
    reports = [first, refused, first | {"name": "old", "compiled by": "b2"}, first | {"name": "new"}]
    _, spent, fast = script("survey_table").summary(reports).split("\n\n")
    assert spent.endswith("Compiled: 2 by a1, 1 by b2.") and fast.endswith("Timed: 3 by a1.")


def _layout(distance):
    """PicoDet's outputs of one level: a box around place 9 of a page of 76 x 100 places, `distance` strides wide each
    way."""
    scores, distances = np.zeros((1, 7600, 10)), np.zeros((1, 7600, 32))
    scores[0, 76 + 9, 3], distances[0, :, distance::8] = 0.9, 50
    return {"scores": scores, "distances": distances}


def test_decisions_are_compared(script):  # noqa: F811
    pytest.importorskip("scipy")
    decisions = script("survey_decisions")
    answers = decisions.ANSWERS
    logits = np.eye(4)[[0, 2, 2, 0, 2, 3]]
    assert (
        answers["text"]({"y": logits[None]})[0].tolist()
        == [2, 2, 3]
        == answers["text"]({"y": logits[:, None]})[0].tolist()
    )
    assert decisions.compared([np.array([2, 2, 3, 1])], [np.array([2, 2, 3])]) == (2, 3)
    assert decisions.compared([np.array([], int)], [np.array([], int)]) == (0, 0)
    assert answers["class"]({"y": np.array([[1, 3, 2]]), "z": np.array([5, 4])}) == [(1, 0)]
    assert answers["yes"]({"y": np.array([[0.4, 0.6]])}) == [False, True]
    assert decisions.compared(answers["places"]({"y": logits}), [0, 2, 2, 0, 2, 1]) == (5, 6)
    [boxes] = answers["layout"](_layout(2))
    assert boxes == [(60.0, -4.0, 92.0, 28.0, 3)]
    shifted, other = [(61.0, -4.0, 93.0, 28.0, 3)], [(60.0, -4.0, 92.0, 28.0, 4)]
    assert decisions.compared([boxes], [shifted]) == (1, 1) and decisions.compared([boxes], [other]) == (0, 2)
    assert decisions.compared([boxes + boxes], [shifted]) == (1, 2) and decisions.compared([[]], [[]]) == (0, 0)


@pytest.mark.parametrize("shape", [(1, 3, 48, 96), (1, 1, 32, 100), (1, 64, 80, 3)])
def test_lines_of_text_have_the_shape_of_the_input(script, shape):  # noqa: F811
    values = script("survey_samples").drawn("lines", shape, np.random.default_rng(1))
    assert values.shape == shape and values.dtype == np.float32 and -1 <= values.min() < values.max() <= 1


def test_spectra_of_a_voice_are_not_negative(script):  # noqa: F811
    spoken = np.random.default_rng(1).standard_normal(4000).astype("float32")
    found = script("survey_samples").spectrum("spectra", (1, 30, 80), spoken)
    assert found.shape == (1, 30, 80) and found.min() >= 0 and found.std() > 0.1


def test_samples_carry_the_state_that_those_before_left(script, tmp_path):  # noqa: F811
    pytest.importorskip("onnxruntime")
    info = helper.make_tensor_value_info
    nodes = [helper.make_node("Add", ["x", "state"], ["y"]), helper.make_node("Identity", ["y"], ["stateN"])]
    values = [info(name, TensorProto.FLOAT, [1, 2]) for name in ("x", "state", "y", "stateN")]
    graph = helper.make_graph(nodes, "sum", values[:2], values[2:])
    path = tmp_path / "sum.onnx"
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()
    )
    arrays = {"x": np.ones((3, 1, 2), np.float32), "state": np.zeros((3, 1, 2), np.float32)}
    script("survey_samples").carried(path, arrays, ["state"], {})
    assert arrays["state"][:, 0, 0].tolist() == [0, 1, 2]
