"""Linear layers, and the products of attention that stay in float."""

from tvm import relax


def test_linear_layer_of_any_rank(network, observed):
    found = observed(network(lambda net, x: net.dense(net.relu(net.dense(x, 8, "a")), 4, "b"), (2, 5, 6)))
    assert list(found) == ["x", "a.weight", "relu", "b.weight"]
    assert found["a.weight"]["axis"] == 1


def test_attention_stays_in_float_around_int8_linear_layers(network, observed, decisions):
    def body(net, x):
        q, k, v = (net.dense(x, 6, name) for name in "qkv")
        scores = net(relax.op.nn.softmax(net(relax.op.matmul(q, net(relax.op.permute_dims(k, [0, 2, 1]), "kt")), "qk")), "softmax")
        mixed = net(relax.op.matmul(scores, v), "mixed")
        return net(relax.op.add(x, net.dense(mixed, 6, "o")), "sum")

    module = network(body, (1, 5, 6))
    assert {name for name, a in observed(module).items() if a["spec"] != "weight"} == {"x", "mixed"}
    decided = decisions(module)
    assert {name for name, d in decided.items() if d.dtype == "int8"} == {"q", "k", "v", "o"}
    assert decided["qk"].reason == decided["mixed"].reason == "both operands are computed at run time"
    assert decided["softmax"].reason.startswith("softmax stays in float")
    assert decided["kt"].reason == decided["sum"].reason == "its result is only used in float"


def test_a_float_operator_keeps_the_exact_value(network, observed):
    """x is quantised for the layer; the float sum beside it must read x itself."""
    from octet.passes.annotate import Annotate

    module = network(lambda net, x: net(relax.op.nn.softmax(net(relax.op.add(x, net.dense(x, 6)), "sum")), "out"), (1, 6))
    values = {b.var.name: b.value for b in Annotate()(module)["main"].body.blocks[0].bindings}
    assert values["sum"].args[0].name == "x" and values["dense"].args[0].name == "x_q"
