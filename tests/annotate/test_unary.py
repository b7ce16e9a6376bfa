"""Functions of one tensor become tables; chains of them one table."""

from tvm import relax

from octet.passes.ops import call


def test_a_chain_is_one_table(network, observed, decisions):
    def body(net, x):
        y = net.relu(net.conv(x, 4))
        pooled = net(relax.op.nn.max_pool2d(y, (2, 2), (2, 2)), "pool")
        scaled = net(relax.op.multiply(pooled, net.const(1, 4, 1, 1)), "scaled")
        shifted = net.relu(net(relax.op.add(scaled, net.const(1, 4, 1, 1)), "shifted"), "out")
        return net.conv(shifted, 2, name="last")

    module = network(body, (1, 3, 8, 8))
    assert [name for name, a in observed(module).items() if a["spec"] != "weight"] == ["x", "relu", "pool", "out"]
    assert decisions(module)["scaled"].reason == "with add, relu"


def test_prelu_with_a_constant_slope(network, observed):
    module = network(
        lambda net, x: net.conv(net(relax.op.nn.prelu(net.conv(x, 4), net.const(4)), "act"), 2, name="last"),
        (1, 3, 8, 8),
    )
    assert {"conv_bias", "act"} < set(observed(module))


def test_unbounded_functions_are_refused(network, decisions):
    module = network(
        lambda net, x: net.conv(net(call("octet.unary", [net.conv(x, 4)], kind="exp"), "e"), 2, name="last"),
        (1, 3, 8, 8),
    )
    assert decisions(module)["e"].reason == "exp stays in float: its range is too wide for 256 steps"


def test_a_constant_tensor_is_refused(network, decisions):
    module = network(
        lambda net, x: net.conv(
            net(relax.op.add(net.relu(net.conv(x, 4)), net.const(1, 4, 8, 8)), "sum"), 2, name="last"
        ),
        (1, 3, 8, 8),
    )
    assert (
        decisions(module)["sum"].reason
        == "its constant operand is neither a scalar nor one value per channel of an image"
    )


def test_recurrent_cells_say_why_they_stay_in_float(network, decisions):
    """The reason is the arithmetic's, not the name of an operator that no user has heard of."""
    module = network(lambda net, x, r, c: net(call("octet.lstm_state", [x, r, c]), "cell"), (1, 8), (1, 8), (1, 2))
    assert (
        decisions(module)["cell"].reason
        == "the state of an LSTM stays in float: rounding it would add up over the steps"
    )
