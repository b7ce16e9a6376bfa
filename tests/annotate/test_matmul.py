"""Linear layers, and the products of attention."""

import pytest
from tvm import relax

from octet.passes.ops import call


def test_linear_layer_of_any_rank(network, observed):
    found = observed(network(lambda net, x: net.dense(net.relu(net.dense(x, 8, "a")), 4, "b"), (2, 5, 6)))
    assert list(found) == ["x", "a.weight", "relu", "b.weight"]
    assert found["a.weight"]["axis"] == 1


def attention(net, x):
    q, k, v = (net.dense(x, 6, name) for name in "qkv")
    scores = net(
        relax.op.nn.softmax(net(relax.op.matmul(q, net(relax.op.permute_dims(k, [0, 2, 1]), "kt")), "qk")), "softmax"
    )
    mixed = net(relax.op.matmul(scores, v), "mixed")
    return net(relax.op.add(x, net.dense(mixed, 6, "o")), "sum")


def test_attention_products_are_int8_with_symmetric_operands_but_for_probabilities(network, observed, decisions):
    module = network(attention, (1, 5, 6))
    found = {name: a for name, a in observed(module).items() if a["spec"] != "weight"}
    assert set(found) == {"x", "q_bias", "k_bias", "v_bias", "kt", "softmax", "mixed"}
    assert {name for name, a in found.items() if a["scheme"] == "symmetric"} == {"q_bias", "k_bias", "v_bias", "kt"}
    assert (found["softmax"]["spec"], found["kt"]["spec"]) == ("fixed", "shared")
    decided = decisions(module)
    assert {name for name, d in decided.items() if d.dtype == "int8"} == {"q", "k", "v", "o", "kt", "qk", "mixed"}
    assert decided["softmax"].reason.startswith("softmax stays in float")
    assert decided["sum"].reason == "its result is only used in float"


def test_attention_can_stay_in_float(network, observed, decisions):
    module = network(attention, (1, 5, 6))
    assert {name for name, a in observed(module, attention="float").items() if a["spec"] != "weight"} == {"x", "mixed"}
    decided = decisions(module, attention="float")
    assert {name for name, d in decided.items() if d.dtype == "int8"} == {"q", "k", "v", "o"}
    assert decided["qk"].reason == decided["mixed"].reason == "the recipe leaves attention in float"


def test_the_sum_in_front_of_a_layer_norm_is_int8(network, observed):
    def body(net, x):
        ones = relax.const([1.0] * 6, "float32")
        normed = net(
            relax.op.nn.layer_norm(net(relax.op.add(net.dense(x, 6, "a"), x), "sum"), ones, ones, [-1]), "norm"
        )
        return net.dense(normed, 4, "b")

    module = network(body, (1, 5, 6))
    tensors = lambda **recipe: {name for name, a in observed(module, **recipe).items() if a["spec"] != "weight"}
    assert tensors() == {"x", "sum", "norm"}
    assert tensors(residuals="float") == {"x", "norm"}


def test_a_float_operator_keeps_the_exact_value(network, observed):
    """x is quantised for the layer; the float sum beside it must read x itself."""
    from octet.passes.annotate import Annotate

    module = network(
        lambda net, x: net(relax.op.nn.softmax(net(relax.op.add(x, net.dense(x, 6)), "sum")), "out"), (1, 6)
    )
    values = {b.var.name: b.value for b in Annotate()(module)["main"].body.blocks[0].bindings}
    assert values["sum"].args[0].name == "x" and values["dense"].args[0].name == "x.observed"


def test_the_states_of_a_recurrent_layer_have_one_scale(network, observed):
    """What the steps feed to one matrix; another layer's have their own."""

    def body(net, x):
        h, c, layers = net.const(2, 3), net.const(2, 3), {name: net.const(3, 12) for name in ("first", "second")}
        for step, layer in enumerate(("first", "first", "first", "second", "second")):
            r = (
                net(relax.op.matmul(h, layers[layer]), f"r{step}")
                if step
                else net(relax.op.matmul(x, net.const(5, 12)), "r0")
            )
            c = net(call("octet.lstm_state", [net.const(2, 12), r, c]), f"c{step}")
            h = net(call("octet.lstm_output", [net.const(2, 12), r, c]), f"h{step}")
        return h

    found = observed(network(body, (2, 5)))
    assert [found[f"h{step}"]["group"] for step in range(2)] == [found["h0"]["edge"]] * 2 and found["h1"]["source"]
    assert [found[f"h{step}"]["group"] for step in (2, 3)] == [found["h2"]["edge"]] * 2
    assert "h4" not in found


@pytest.mark.parametrize("width, dtype", [(20, "float"), (80, "int8")])
def test_a_step_with_few_products_stays_in_float(network, decisions, width, dtype):
    """Quantising the state of every step would take longer than they do."""

    def body(net, x):
        t = net(call("octet.loop_index", [], steps=12, reverse=0))
        h = net(call("octet.loop_state", [x, t], index=0))
        new = net.unary(net(relax.op.matmul(h, net.const(width, width)), "recurrent"), "tanh")
        return net(call("octet.loop_stack", [new, t, new], steps=12))

    assert decisions(network(body, (1, width)))["recurrent"].dtype == dtype
