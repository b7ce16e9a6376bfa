"""Layers that the user names, by name or by type, are left in float or kept in int8."""

import pytest
from tvm import relax

from octet.passes.annotate import Annotate, Recipe
from octet.targets.errors import OctetError


def two_layers(network):
    def body(net, x):
        first = net.relu(net.conv(x, 4, name="stem_a"), name="stem_relu")
        second = net.conv(first, 4, name="stem_b")
        return net.conv(net(relax.op.add(second, first), "joined"), 4, name="head")

    return network(body, (1, 3, 8, 8))


def left_in_float(module, **recipe):
    return {d.name for d in Annotate(Recipe(**recipe)).decide(module).decisions if d.dtype == "float"}


def in_int8(module, **recipe):
    return {d.name for d in Annotate(Recipe(**recipe)).decide(module).decisions if d.dtype == "int8"}


def test_a_glob_over_names(network):
    module = two_layers(network)
    assert left_in_float(module) == set()
    assert {"stem_a", "stem_b"} <= left_in_float(module, float_layers=["stem_?"])
    assert in_int8(module, float_layers=["stem_?"]) == {"head"}
    reasons = {d.name: d.reason for d in Annotate(Recipe(float_layers=["head"])).decide(module).decisions}
    assert reasons["head"] == "named by --float-layers"


def test_what_a_layer_swallows_stands_for_the_layer(network):
    assert "stem_a" in left_in_float(two_layers(network), float_layers=["stem_relu"])


def test_a_residual_sum_has_a_name_of_its_own(network):
    module = two_layers(network)
    assert left_in_float(module, float_layers=["joined"]) == {"joined"}
    assert left_in_float(module, float_layers=["op:add"]) == {"joined"}, "biases are part of their layers"


def test_by_type(network):
    module = two_layers(network)
    assert in_int8(module, float_layers=["op:conv*"]) == in_int8(module, float_layers=["op:relax.nn.conv2d"]) == set()


def test_int8_layers_overrule_float_layers_and_float_operators(network):
    module = two_layers(network)
    assert in_int8(module, float_layers=["op:conv2d"], int8_layers=["head"]) == {"head"}
    assert "head" in in_int8(module, float_operators={"head"}, int8_layers=["head"])


def test_int8_layers_overrule_the_switches(network):
    def attention(net, x):
        q, k = net.dense(x, 8, name="q"), net.dense(x, 8, name="k")
        scores = net(relax.op.matmul(q, net(relax.op.permute_dims(k, [0, 2, 1]), "k_t")), "scores")
        return net.dense(scores, 4, name="out")

    module = network(attention, (1, 6, 8))
    assert "scores" in left_in_float(module, attention="float")
    assert "scores" in in_int8(module, attention="float", int8_layers=["scores"])


def test_the_search_is_told_what_stays_in_int8(network):
    assert Annotate(Recipe(int8_layers=["stem_*"])).decide(two_layers(network)).kept == {"stem_a", "stem_b"}


@pytest.mark.parametrize(
    ("option", "pattern", "near"),
    [("float_layers", "steam_*", "stem_a"), ("int8_layers", "haed", "head"), ("float_layers", "op:Conv", "op:conv2d")],
)
def test_a_pattern_that_matches_nothing_shows_the_nearest_names(network, option, pattern, near):
    with pytest.raises(OctetError, match=f"{option} .* matches no operator of this model; nearest: .*{near}") as error:
        in_int8(two_layers(network), **{option: [pattern]})
    assert "\n" not in str(error.value)


def test_what_has_no_integer_form_cannot_be_kept(network):
    module = network(lambda net, x: net(relax.op.exp(net.conv(x, 4)), "exponential"), (1, 3, 8, 8))
    with pytest.raises(OctetError, match="'exponential': exponential cannot be int8: "):
        in_int8(module, int8_layers=["exponential"])


@pytest.mark.parametrize("patterns", ["conv", [1], [""]])
def test_patterns_are_a_list_of_globs(patterns):
    with pytest.raises(OctetError, match="float_layers is a list of globs"):
        Recipe(float_layers=patterns)
