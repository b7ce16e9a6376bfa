"""Softmax by tables: an option, with its scale, not behind a mask."""

import numpy as np
import pytest
from tvm import relax

from octet.passes.annotate import Recipe
from octet.targets.errors import OctetError
from octet.tools.commands.recipe_options import PRECISIONS, SOFTMAXES


def attention(network, masked=False, guarded=False):
    def body(net, x):
        q, k, v = (net.dense(x, 8, name) for name in "qkv")
        scores = net(relax.op.matmul(q, net(relax.op.permute_dims(k, [0, 2, 1]), "turned")), "scores")
        scaled = net(relax.op.multiply(scores, relax.const(np.float32(0.35))), "scaled")
        scaled = (
            net(relax.op.add(scaled, relax.const(np.full((1, 1, 5), -1e4, np.float32))), "masked") if masked else scaled
        )
        soft = net(relax.op.nn.softmax(scaled, -1), "soft")
        if guarded:
            soft = net(relax.op.where(net(relax.op.isnan(soft)), relax.const(np.float32(0)), soft), "guard")
        return net.dense(net(relax.op.matmul(soft, v), "mixed"), 4, "last")

    return network(body, (1, 5, 8))


def test_float_by_default(network, decisions):
    assert decisions(attention(network))["soft"].dtype == "float"


def test_factor_and_mask_of_the_scores_are_in_float_with_their_softmax(network, decisions):
    decided = decisions(attention(network, masked=True))
    assert {decided[name].reason for name in ("scaled", "masked")} == {"in float with the softmax behind it"}
    assert decided["scores"].dtype == decided["mixed"].dtype == "int8"


def test_a_guard_has_the_range_of_its_softmax(network, decisions, observed):
    module = attention(network, guarded=True)
    found = observed(module)["guard"]
    assert (found["spec"], found["low"], found["high"], found["scheme"]) == ("fixed", 0.0, 1.0, "affine")
    assert decisions(module)["guard"].reason == "in float with the softmax in front of it"


def test_indices_and_masks_are_named_as_such(network, decisions):
    def body(net, x):
        hidden = net(relax.op.less(x, relax.const(np.float32(0))), "hidden")
        mask = net(
            relax.op.multiply(net(relax.op.astype(hidden, "float32"), "cast"), relax.const(np.float32(-1e4))), "mask"
        )
        return net.dense(net(relax.op.add(net.dense(x, 8), mask), "masked"), 4, "last")

    decided = decisions(network(body, (1, 5, 8)))
    assert decided["hidden"].reason == decided["cast"].reason == "it computes indices or a mask"


def test_with_its_scale(network, decisions, observed):
    decided = decisions(attention(network), softmax="table")
    assert decided["soft"].dtype == "int8" and decided["soft"].reason == "with multiply" and "scaled" not in decided
    found = observed(attention(network), softmax="table")
    assert found["scores"]["spec"] == "own" and "scaled" not in found
    assert (found["soft"]["spec"], found["soft"]["low"], found["soft"]["high"], found["soft"]["scheme"]) == (
        "fixed",
        0.0,
        1.0,
        "affine",
    )


def test_not_behind_a_mask(network, decisions):
    decided = decisions(attention(network, masked=True), softmax="table")
    assert decided["soft"].reason == "its input carries a mask, which leaves its scores no steps in int8"


def test_left_in_float_by_name(network, decisions):
    decided = decisions(attention(network), softmax="table", float_operators={"soft"})
    assert decided["soft"].reason == "left in float for accuracy: as measured, or named in the recipe"


def test_unknown_softmax():
    with pytest.raises(OctetError, match="softmax 'int8' is unknown"):
        Recipe(softmax="int8")


def test_the_commands_offer_what_the_recipe_knows():
    for name, choices in (("attention", PRECISIONS), ("residuals", PRECISIONS), ("softmax", SOFTMAXES)):
        assert [getattr(Recipe(**{name: choice}), name) for choice in choices] == list(choices)


def test_rows_over_their_largest_value_have_the_range_of_it_and_stay_in_float(network, decisions, observed):
    """canonicalize/divide_behind_product.py."""

    def body(net, x):
        v = net.dense(x, 8, "v")
        p = net(
            relax.op.nn.softmax(
                net(relax.op.matmul(v, net(relax.op.permute_dims(v, [0, 2, 1]), "turned")), "scores"), -1
            ),
            "soft",
        )
        peaks = net(
            relax.op.multiply(p, net.unary(net(relax.op.max(p, [-1], keepdims=True), "largest"), "reciprocal")), "peaks"
        )
        total = net(relax.op.matmul(peaks, relax.const(np.ones((5, 1), np.float32))), "total")
        return net.dense(net(relax.op.divide(net(relax.op.matmul(peaks, v), "mixed"), total), "divided"), 4, "last")

    decided = decisions(network(body, (1, 5, 8)), softmax="table")
    assert {name: decided[name].dtype for name in ("peaks", "total", "mixed", "divided")} == {
        "peaks": "float",
        "total": "int8",
        "mixed": "int8",
        "divided": "float",
    }
    found = observed(network(body, (1, 5, 8)), softmax="table")["peaks"]
    assert (found["spec"], found["low"], found["high"], found["scheme"]) == ("fixed", 0.0, 1.0, "affine")
