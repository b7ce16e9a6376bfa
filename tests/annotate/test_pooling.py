"""Average pooling and means have scales of their own."""

from tvm import relax


def test_mean_over_height_and_width(network, observed):
    def body(net, x):
        y = net(relax.op.mean(net.relu(net.conv(x, 4)), [2, 3], keepdims=True), "mean")
        return net.dense(net(relax.op.reshape(y, (1, 4)), "flat"), 3)

    found = observed(network(body, (1, 3, 8, 8)))
    assert found["mean"]["spec"] == "own" and found["mean"]["group"] != found["relu"]["group"]
    assert (found["flat"]["spec"], found["flat"]["group"], found["flat"]["source"]) == (
        "shared",
        found["mean"]["edge"],
        0,
    )


def test_average_pooling_may_start_at_an_input(network, observed):
    module = network(lambda net, x: net.conv(net(relax.op.nn.avg_pool2d(x, (2, 2), (2, 2)), "pool"), 4), (1, 3, 8, 8))
    assert observed(module)["pool"]["spec"] == "own"


def test_mean_over_other_axes_is_refused(network, decisions):
    module = network(lambda net, x: net.dense(net(relax.op.mean(net.dense(x, 6, "a"), [1]), "mean"), 4, "b"), (1, 5, 6))
    assert decisions(module)["mean"].reason.startswith("only a float32 mean over height and width")


def test_linear_interpolation(network, observed, decisions):
    def body(size):
        def emit(net, x):
            y = net(
                relax.op.image.resize2d(
                    net.conv(x, 4), size, method="linear", layout="NCHW", coordinate_transformation_mode="half_pixel"
                ),
                "resized",
            )
            return net.conv(net.relu(y), 3, name="last")

        return network(emit, (1, 3, 8, 8))

    assert observed(body((16, 24)))["relu"]["spec"] == "own"
    assert "multiples of one unit" in decisions(body((397, 8)))["resized"].reason
