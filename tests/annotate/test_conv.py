"""Convolutions: what fuses behind them, and where the observer sits."""

from tvm import relax


def activations(found):
    return [name for name, attrs in found.items() if attrs["spec"] != "weight"]


def test_observer_sits_behind_the_activation_never_before_it(network, observed):
    module = network(
        lambda net, x: net.conv(net(relax.op.clip(net.conv(x, 8, 3), 0.0, 6.0), "relu6"), 4, name="last"), (1, 3, 8, 8)
    )
    found = observed(module)
    assert activations(found) == ["x", "relu6"]
    assert found["conv.weight"]["axis"] == 0 and found["conv.weight"]["scheme"] == "symmetric"


def test_per_tensor_weights(network, observed):
    module = network(lambda net, x: net.conv(x, 4), (1, 3, 8, 8))
    assert observed(module, weights="per-tensor")["conv.weight"]["axis"] == -1


def test_residual_add_fuses_into_the_later_convolution(network, observed, decisions):
    def body(net, x):
        straight = net.conv(net.relu(net.conv(x, 4, name="first")), 4, 3, name="straight")
        shortcut = net.conv(x, 4, name="shortcut")
        return net.conv(net.relu(net(relax.op.add(straight, shortcut), "sum"), "out"), 2, name="last")

    module = network(body, (1, 4, 8, 8))
    assert activations(observed(module)) == ["x", "relu", "straight_bias", "out"]
    decided = decisions(module)
    assert decided["shortcut"].reason == "with add, add, relu" and decided["straight"].reason == "with add"
    assert all(d.dtype == "int8" for d in decided.values())


def test_residual_of_an_ordinary_tensor(network, observed):
    def body(net, x):
        y = net.relu(net.conv(x, 4, name="first"), "y")
        return net.conv(net(relax.op.add(y, net.conv(y, 4, 3)), "sum"), 2, name="last")

    assert activations(observed(network(body, (1, 4, 8, 8)))) == ["x", "y", "sum"]


def test_a_convolution_with_two_readers_does_not_absorb_the_add(network, observed):
    def body(net, x):
        y = net.conv(x, 4, name="first")
        z = net(relax.op.add(net.relu(y), y), "sum")
        return net.conv(z, 2, name="last")

    assert activations(observed(network(body, (1, 4, 8, 8)))) == ["x", "first_bias", "relu", "sum"]


def test_broadcast_add_is_no_residual(network, observed):
    def body(net, x):
        gate = net(relax.op.mean(x, [2, 3], keepdims=True), "gate")
        return net.conv(net(relax.op.add(net.conv(x, 4), gate), "sum"), 2, name="last")

    assert "conv_bias" in observed(network(body, (1, 4, 8, 8)))


def test_last_convolution_hands_out_float(network, observed):
    assert activations(observed(network(lambda net, x: net.relu(net.conv(x, 4)), (1, 3, 8, 8)))) == ["x"]


def test_last_residual_add_stays_in_float(network, observed, decisions):
    def body(net, x):
        y = net.relu(net.conv(x, 4, name="first"), "y")
        return net(relax.op.add(y, net.conv(y, 4)), "sum")

    module = network(body, (1, 4, 8, 8))
    assert activations(observed(module)) == ["x", "y"]
    assert decisions(module)["sum"].reason == "its result is only used in float"


def test_weights_computed_at_run_time_are_refused(network, decisions):
    module = network(lambda net, x, w: net(relax.op.nn.conv2d(x, w), "dynamic"), (1, 3, 8, 8), (4, 3, 1, 1))
    assert decisions(module)["dynamic"].reason == "its weights are computed at run time"


def test_an_operator_left_in_float_by_the_recipe(network, observed, decisions):
    def body(net, x):
        return net.conv(net.relu(net.conv(net.relu(net.conv(x, 4, name="a")), 4, name="b")), 2, name="c")

    module = network(body, (1, 3, 8, 8))
    found, decided = observed(module, float_operators={"b"}), decisions(module, float_operators={"b"})
    assert "b.weight" not in found and {"a.weight", "c.weight"} < set(found)
    assert activations(found) == [
        "x",
        "relu1",
    ]  # The float layer reads the exact value; what it makes is quantised for c.
    assert (
        decided["b"].reason == "left in float for accuracy: as measured, or named in the recipe"
        and decided["a"].dtype == "int8"
    )
