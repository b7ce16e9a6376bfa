"""Sums and products of two computed tensors."""

from tvm import relax


def test_product_has_its_own_scale_and_sigmoid_a_fixed_range(network, observed):
    def body(net, x):
        y = net.conv(x, 4, name="c")
        return net.conv(net(relax.op.multiply(y, net.unary(y, "sigmoid", "gate")), "product"), 2, name="last")

    found = observed(network(body, (1, 3, 8, 8)))
    assert found["product"]["spec"] == "own"
    assert (found["gate"]["spec"], found["gate"]["low"], found["gate"]["high"]) == ("fixed", 0.0, 1.0)
    assert found["c_bias"]["spec"] == "own"  # This is the table's input.


def test_sum_of_float_tensors_stays_in_float(network, decisions):
    module = network(lambda net, x, y: net.conv(net(relax.op.add(x, y), "sum"), 4), (1, 3, 8, 8), (1, 3, 8, 8))
    assert decisions(module)["sum"].reason == "none of its operands is int8"


def test_relu_behind_a_sum_is_fused(network, observed):
    def body(net, x):
        a, b = (net.relu(net.conv(x, 4, name=name)) for name in "ab")
        return net.conv(net.relu(net(relax.op.add(a, b), "sum"), "out"), 2, name="last")

    found = observed(network(body, (1, 3, 8, 8)))
    assert "sum" not in found and "out" in found


def test_difference_of_two_layers_is_int8(network, decisions):
    def body(net, x):
        a, b = (net.conv(x, 4, name=name) for name in "ab")
        return net.conv(net(relax.op.subtract(a, b), "difference"), 2, name="last")

    assert decisions(network(body, (1, 3, 8, 8)))["difference"].dtype == "int8"
