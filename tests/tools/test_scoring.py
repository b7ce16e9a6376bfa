"""Which outputs a metric is of, what each is compared with, and which is worst."""

import json
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from octet.targets.errors import DataError, OctetError
from octet.targets.variant import TensorSpec
from octet.tools.metrics import METRICS, find_metric
from octet.tools.scores import scoring_of

MODEL = SimpleNamespace(
    inputs=(TensorSpec("x", (1, 4), "float32"),),
    outputs=(TensorSpec("a", (1, 3), "float32"), TensorSpec("b", (1, 2), "float32"), TensorSpec("n", (1, 2), "int64")),
)
EXACT = {
    "a": np.eye(3, dtype=np.float32)[[0, 1, 2, 0]],
    "b": np.eye(2, dtype=np.float32)[[0, 1, 0, 1]],
    "n": np.zeros((4, 2), np.int64),
}
LABELS = np.array([0, 1, 2, 0])


def scoring(metric, data, names=(), fp32=True):
    return scoring_of(find_metric(metric), data, MODEL, 4, "val.npz", names, fp32)


def test_labels_are_of_the_first_output_unless_they_say_otherwise():
    assert list(scoring("top1", {"labels": LABELS}).references) == ["a"]
    assert list(scoring("top1", {"labels/b": LABELS % 2}).references) == ["b"]
    assert set(scoring("top1", {"labels/a": LABELS, "labels/b": LABELS % 2}).references) == {"a", "b"}
    assert list(scoring("top1", {"labels": LABELS % 2}, ("b",)).references) == ["b"]


def test_the_worst_output_is_the_one_that_loses_most():
    of = scoring("top1", {"labels/a": LABELS, "labels/b": np.array([0, 1, 0, 1])})
    before = of.scores(EXACT)
    after = of.scores(EXACT | {"b": EXACT["b"][[0, 1, 0, 0]]})
    assert (
        before == {"a": 1.0, "b": 1.0}
        and of.worst(before, after) == "b"
        and of.drop(before, after) == 0.25
        and of.least(after) == "b"
    )
    assert of.losses(EXACT | {"b": EXACT["b"][[0, 1, 0, 0]]}).tolist() == [0, 0, 0, 1]
    assert of.rows([3]).scores({name: value[[3]] for name, value in EXACT.items()}) == {"a": 1.0, "b": 1.0}


def test_without_labels_every_float_output_of_fp32_stands_in(capsys):
    of = scoring("cosine", {})
    assert of.absent == ("a", "b")
    assert of.completed(EXACT).scores(EXACT) == {"a": pytest.approx(1.0), "b": pytest.approx(1.0)}
    some = of.completed(EXACT | {"b": np.zeros((4, 2), np.float32)})
    assert list(some.references) == ["a"] and "output 'b' is zero in fp32" in capsys.readouterr().err
    assert list(scoring("cosine", {}, ("b",)).completed(EXACT | {"b": np.zeros((4, 2), np.float32)}).references) == [
        "b"
    ]


def test_fp32_that_is_not_finite_is_said_or_refused(capsys):
    broken = np.where(EXACT["b"] == EXACT["b"][0], np.float32(np.nan), EXACT["b"])
    scoring("top1", {"labels/b": LABELS % 2}).completed(EXACT | {"b": broken})
    assert "output 'b' of fp32 itself is NaN in 2 of 4 samples" in capsys.readouterr().err
    scoring("top1", {"labels/b": LABELS % 2}).completed(EXACT | {"b": broken}, silent=True)
    assert capsys.readouterr() == ("", "")
    for metric, data in (("top1", {"labels/b": LABELS % 2}), ("sqnr", {})):
        with pytest.raises(OctetError, match="output 'b' of fp32 itself is nowhere finite"):
            scoring(metric, data).completed(EXACT | {"b": EXACT["b"] * np.float32(np.nan)})


def test_of_scores_alone_one_that_is_nan_is_the_least():
    assert scoring("cosine", {}).least({"a": 0.5, "b": float("nan")}) == "b"


@pytest.mark.parametrize(
    ("metric", "data", "names", "fp32", "error", "said"),
    [
        ("top1", {}, (), True, DataError, "holds no labels, top1 needs them"),
        ("cosine", {}, (), False, DataError, "--model MODEL.onnx"),
        ("top1", {"labels/a": LABELS}, ("a", "b"), True, DataError, "holds no labels for b"),
        ("top1", {"labels/c": LABELS}, (), True, DataError, "array 'labels/c' is of no output"),
        (
            "top1",
            {"labels": LABELS},
            ("c",),
            True,
            OctetError,
            "--output-name c: the model has no such output; take some of: a, b, n",
        ),
        ("map", {}, (), False, DataError, "holds no array 'boxes'"),
        ("pearson", {"labels": np.zeros(7)}, (), True, DataError, "as many numbers"),
    ],
)
def test_what_is_missing_is_said(metric, data, names, fp32, error, said):
    with pytest.raises(error, match=said):
        scoring(metric, data, names, fp32)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("iou@x", "least value of a foreground"),
        ("map@1.5", "between 0 and 1"),
        ("retrieval@0", "at least 1"),
        ("top1@3", "takes no value"),
        ("edit@b", "blank"),
    ],
)
def test_values_of_metrics(name, said):
    with pytest.raises(OctetError, match=said):
        find_metric(name)


def test_values_change_what_is_counted():
    output = np.array([[[0.3, 0.4]]], np.float32)
    masks = np.array([[[1, 1]]])
    assert find_metric("iou@0.2").score(output, masks) == 1.0 and METRICS["iou"].score(output, masks) == 0.0


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A folder with two.onnx: x [1, 8] -> wide [1, 4], narrow [1, 2], nothing [1, 2] (zeros); data in calib.npz."""
    folder, rng = tmp_path_factory.mktemp("two"), np.random.default_rng(0)
    constants = {"w": rng.standard_normal((8, 4)), "v": rng.standard_normal((8, 2)), "z": np.zeros((8, 2))}
    nodes = [
        helper.make_node("MatMul", ["x", weight], [output])
        for weight, output in zip(constants, ("wide", "narrow", "nothing"))
    ]
    values = {"x": 8, "wide": 4, "narrow": 2, "nothing": 2}
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, width]) for name, width in values.items()]
    graph = helper.make_graph(
        nodes,
        "two",
        infos[:1],
        infos[1:],
        [numpy_helper.from_array(a.astype(np.float32), name) for name, a in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "two.onnx")
    np.savez(folder / "calib.npz", x=rng.standard_normal((40, 8)).astype(np.float32))
    return folder


def test_a_compile_judges_every_output(octet, two, tmp_path):
    np.savez(tmp_path / "val.npz", x=np.load(two / "calib.npz")["x"], table=np.arange(3))
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "def both(outputs, data):\n"
        "    assert set(outputs) == {'wide', 'narrow', 'nothing'} and data['table'].tolist() == [0, 1, 2]\n"
        "    return 1 + float(np.mean(outputs['wide'])) ** 2\n"
    )
    common = (
        "compile",
        two / "two.onnx",
        "--calib",
        two / "calib.npz",
        "--threads",
        1,
        "--no-cache",
        "--json",
        tmp_path / "o.json",
        "-o",
        tmp_path / "o.octet",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        octet(*common, "--validate", tmp_path / "val.npz", "--metric", "mine:both")
    report = json.loads((tmp_path / "o.json").read_text())
    assert set(report["agreement"]["outputs"]) == {"wide", "narrow"} and report["agreement"]["zero"] == ["nothing"]
    assert report["accuracy"]["metric"] == "mine:both" and report["accuracy"]["fp32"] >= 1.0
    said = octet(
        "evaluate",
        tmp_path / "o.octet",
        "--data",
        two / "calib.npz",
        "--metric",
        "cosine",
        "--model",
        two / "two.onnx",
        "--json",
        tmp_path / "e.json",
    )
    assert "cosine of output narrow" in said and "output 'nothing' is zero" in said
    assert (
        json.loads((tmp_path / "e.json").read_text())["cosine"]
        == min(json.loads((tmp_path / "e.json").read_text())["outputs"].values())
        > 0.99
    )
    said = octet(
        "evaluate",
        tmp_path / "o.octet",
        "--data",
        two / "calib.npz",
        "--metric",
        "cosine",
        "--model",
        two / "two.onnx",
        "--output",
        "wide",
    )
    assert "narrow" not in said
    assert "array 'table' is no input" in octet(
        "evaluate", tmp_path / "o.octet", "--data", tmp_path / "val.npz", "--metric", "top1", status=2
    )
