"""Results whose number is known at run time only: outputs hold as many as there are, whatever is computed row by row in
between."""

import sys

import numpy as np
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

from octet.passes.export.evaluate import evaluate
from octet.passes.pipeline import canonicalize
from octet.passes.referee import reference
from octet.targets.batches import meant, run_samples
from octet.targets.errors import UnsupportedModelError
from octet.tools.building.sessions import float_session

RANDOM = np.random.default_rng(9)
CORNER = RANDOM.random((1, 30, 2))
FEED = {
    "boxes": np.concatenate([CORNER, CORNER + 0.3], -1).astype("float32"),
    "scores": RANDOM.random((1, 4, 30)).astype("float32"),
}
LIMITS = {"most": np.array([6]), "overlap": np.float32([0.3]), "threshold": np.float32([0.6])}
CHOICE = helper.make_node("NonMaxSuppression", ["boxes", "scores", *LIMITS], ["chosen"], name="choose")
DETECTIONS = [  # Exporters write the end of a detector so: the chosen boxes, their scores and classes, a row each.
    CHOICE,
    helper.make_node("Gather", ["chosen", "two"], ["place"], axis=1),
    helper.make_node("Slice", ["chosen", "one", "three", "one"], ["pairs"]),
    helper.make_node("Squeeze", ["place", "one"], ["flat_place"]),
    helper.make_node("Squeeze", ["boxes", "zero"], ["all_boxes"]),
    helper.make_node("Gather", ["all_boxes", "flat_place"], ["corners"], axis=0),
    helper.make_node("Squeeze", ["scores", "zero"], ["all_scores"]),
    helper.make_node("GatherND", ["all_scores", "pairs"], ["score"]),
    helper.make_node("Unsqueeze", ["score", "one"], ["score_column"]),
    helper.make_node("Gather", ["chosen", "one"], ["kind"], axis=1),
    helper.make_node("Cast", ["kind"], ["kind_column"], to=1),
    helper.make_node("Concat", ["corners", "kind_column", "score_column"], ["detections"], axis=1),
]
NUMBERS = {"zero": np.array([0]), "one": np.array([1]), "two": np.array([2]), "three": np.array([3])}


def _check(proto, loaded, feed):
    wanted = ReferenceEvaluator(proto).run(None, feed)
    outputs = [value.name for value in proto.graph.output]
    network = canonicalize(loaded)
    session = float_session(network, 1)
    said = dict(
        zip((spec.name for spec in network.outputs), reference.run(network.module, feed, evaluate), strict=True)
    )
    for answers in (session.run(feed), meant(network.outputs, said)):
        for name, value in zip(outputs, wanted, strict=True):
            assert answers[name].shape == value.shape and answers[name].dtype == value.dtype
            np.testing.assert_allclose(answers[name], value, rtol=1e-6)
    return session


def test_the_end_of_a_detector(model, load):
    proto = model(DETECTIONS, FEED, LIMITS | NUMBERS, outputs=("chosen", "detections"))
    session = _check(proto, load(proto), FEED)
    assert [(spec.name, spec.counted) for spec in session.outputs] == [
        ("chosen", (0, "chosen.count")),
        ("detections", (0, "chosen.count")),
        ("chosen.count", None),
    ]


def test_samples_with_different_numbers_of_results(model, load):
    session = float_session(canonicalize(load(model([CHOICE], FEED, LIMITS, outputs=("chosen",)))), 1)
    low = FEED["scores"] * np.float32(0.7)
    given = {"boxes": np.concatenate([FEED["boxes"]] * 2), "scores": np.concatenate([FEED["scores"], low])}
    answers = run_samples(session, given)
    assert {name: array.tolist() for name, array in session.run_many(given).items()} == {
        name: array.tolist() for name, array in answers.items()
    }
    apart = [session.run({**FEED, "scores": scores})["chosen"] for scores in (FEED["scores"], low)]
    counts = [len(each) for each in apart]
    assert counts[0] > counts[1] and answers["chosen.count"].tolist() == [[count] for count in counts]
    assert answers["chosen"].shape == (2, counts[0], 3)
    for found, alone, count in zip(answers["chosen"], apart, counts):
        assert (found[:count] == alone).all() and (found[count:] == -1).all()


def test_nonzero_and_compress(model, load):
    x = RANDOM.standard_normal((4, 6)).astype("float32")
    nodes = [
        helper.make_node("Greater", ["x", "limit"], ["large"]),
        helper.make_node("NonZero", ["large"], ["places"]),
        helper.make_node("Transpose", ["places"], ["rows"], perm=[1, 0]),
        helper.make_node("GatherND", ["x", "rows"], ["values"]),
        helper.make_node("Compress", ["x", "c"], ["columns"], axis=1),
    ]
    proto = model(
        nodes,
        {"x": x, "c": np.array([True, False, False, True, True])},
        {"limit": np.float32(0.3)},
        outputs=("places", "values", "columns"),
    )
    _check(proto, load(proto), {"x": x, "c": np.array([True, False, False, True, True])})


REFUSED = {
    "sum over rows": (
        [CHOICE, helper.make_node("ReduceMax", ["chosen"], ["y"], name="least", axes=[0])],
        "'least' takes several of the results.*reduces",
    ),
    "rows in a row": (
        [CHOICE, helper.make_node("Flatten", ["chosen"], ["y"], name="line", axis=0)],
        "'line' joins an axis",
    ),
    "how many": (
        [CHOICE, helper.make_node("Shape", ["chosen"], ["y"], name="extents")],
        "'extents' reads a number of results",
    ),
    "choices of their own": (
        [
            CHOICE,
            helper.make_node("NonMaxSuppression", ["boxes", "scores", *LIMITS], ["others"], name="again"),
            helper.make_node("Add", ["chosen", "others"], ["y"], name="total"),
        ],
        "'total' takes several.*count apart",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_takes_more_than_one_result_is_refused(model, load, case):
    nodes, message = REFUSED[case]
    with pytest.raises(UnsupportedModelError, match=message):
        load(model(nodes, FEED, LIMITS, opset=13))


def test_a_network_deeper_than_the_stack_of_python_loads(model, load):
    depth = sys.getrecursionlimit() + 10
    chain = [helper.make_node("Neg", [f"v{each}"], [f"v{each + 1}"]) for each in range(depth)]
    proto = model(chain, {"v0": FEED["scores"]}, outputs=(f"v{depth}",))
    assert load(proto).outputs[0].shape == FEED["scores"].shape
