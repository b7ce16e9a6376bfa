"""What a layer makes of the two bytes of its input is summed in float, and rounded once."""

from tvm import relax

from octet.passes import ops

R = relax.op
PARTS = ({"kind": "coarse", "step": 0.5, "low": -64.0}, {"kind": "remainder", "step": 0.5})


def summed(net, x, split=True, ahead=True):
    """A layer of x twice, of its two parts or of it as it is, their sum, and ahead of it a layer that reads that."""
    weight = net.const(8, 8)
    products = []
    for attrs, name in zip(PARTS, ("large", "rest"), strict=True):
        part = net(ops.call("octet.unary", [x], **attrs)) if split else x
        products.append(net(R.matmul(part, weight), name))
    whole = net(R.add(*products), "whole")
    return net(R.matmul(whole, net.const(8, 4)), "next") if ahead else whole


def test_the_sum_of_two_parts_stays_in_float_and_what_reads_it_rounds(network, decisions, observed):
    module = network(summed, (3, 8))
    decided = decisions(module)
    assert {name: decided[name].dtype for name in ("large", "rest", "next")} == dict.fromkeys(
        ("large", "rest", "next"), "int8"
    )
    assert decided["whole"].dtype == "float" and "rounded together" in decided["whole"].reason
    assert "whole" in observed(module) and not {"large", "rest"} & set(observed(module))


def test_what_moves_the_sum_moves_it_in_int8(network, decisions, observed):
    def body(net, x):
        moved = net(R.permute_dims(net(R.reshape(summed(net, x, ahead=False), (4, 6))), [1, 0]), "turned")
        return net(R.matmul(moved, net.const(4, 4)), "next")

    module = network(body, (3, 8))
    assert decisions(module)["turned"].dtype == "int8" and "whole" in observed(module)


def test_does_not_apply_to_a_sum_of_two_layers(network, decisions, observed):
    module = network(lambda net, x: summed(net, x, split=False), (3, 8))
    assert "whole" not in decisions(module), "it is a part of the layer that is added to"
    assert {"large", "whole"} & set(observed(module)) == {"large", "whole"}


def test_does_not_apply_where_somebody_wants_it_in_int8(network, decisions):
    decided = decisions(network(summed, (3, 8)), int8_layers=("whole",))
    assert "whole" not in decided and decided["rest"].dtype == "int8", "it is a part of the layer"
