"""What only moves data shares one scale."""

from tvm import relax

from octet.passes.ops import call


def test_pooling_and_reshaping_share_the_scale_of_their_input(network, observed):
    def body(net, x):
        y = net(relax.op.nn.max_pool2d(net.relu(net.conv(x, 4)), (2, 2), (2, 2)), "pool")
        y = net(relax.op.nn.pad(y, (0, 0, 0, 0, 1, 1, 1, 1)), "pad")
        y = net(relax.op.image.resize2d(y, (12, 12), method="nearest_neighbor"), "resize")
        y = net(call("octet.interleave", [y], strides=[2, 2], fill=0), "interleave")
        y = net(relax.op.permute_dims(y, [0, 1, 3, 2]), "transpose")
        y = net(relax.op.strided_slice(y, axes=[2], begin=[1], end=[9]), "slice")
        return net.conv(y, 2, name="last")

    found = observed(network(body, (1, 3, 8, 8)))
    moved = ["pool", "pad", "resize", "interleave", "transpose", "slice"]
    assert all(
        found[name]["spec"] == "shared" and found[name]["group"] == found["relu"]["edge"] and not found[name]["source"]
        for name in moved
    )


def test_copies_that_networks_seldom_have_share_it_too(network, observed):
    def body(net, x):
        y = net(relax.op.flip(net.relu(net.conv(x, 4)), 3), "flip")
        y = net(relax.op.repeat(net(relax.op.tile(y, (1, 1, 2, 1)), "tile"), 2, 3), "repeat")
        y = net(relax.op.broadcast_to(net(relax.op.stack([y, y], 1), "stack"), (3, 2, 4, 16, 16)), "broadcast")
        return net.conv(net(relax.op.reshape(y, (6, 4, 16, 16)), "flat"), 2, name="last")

    found = observed(network(body, (1, 3, 8, 8)))
    moved = ["flip", "tile", "repeat", "stack", "broadcast", "flat"]
    assert all(found[name]["group"] == found["relu"]["edge"] and not found[name]["source"] for name in moved)


def test_concat_and_split_unite_all_their_tensors(network, observed):
    def body(net, x):
        a, b = (net.relu(net.conv(x, 4, name=name), f"{name}_relu") for name in "ab")
        parts = net(relax.op.split(net(relax.op.concat([a, b], axis=1), "joined"), 2, axis=1), "parts")
        piece = net(relax.TupleGetItem(parts, 1), "piece")
        return net.conv(piece, 2, name="last")

    found = observed(network(body, (1, 3, 8, 8)))
    assert {found[name]["group"] for name in ("a_relu", "b_relu", "joined", "piece")} == {found["a_relu"]["edge"]}
    assert [found[name]["source"] for name in ("a_relu", "b_relu", "joined", "piece")] == [1, 1, 0, 0]


def test_a_fixed_range_that_is_joined_with_others_is_measured(network, observed):
    def body(net, x):
        y = net.relu(net.conv(x, 4))
        joined = net(relax.op.concat([net.unary(y, "sigmoid", "gate"), y], axis=1), "joined")
        return net.conv(joined, 2, name="last")

    found = observed(network(body, (1, 3, 8, 8)))
    assert found["relu"]["spec"] == "own" and found["gate"]["spec"] == "shared" and found["gate"]["source"] == 1


def test_cubic_resize_and_foreign_padding_are_refused(network, decisions):
    def body(net, x):
        y = net(relax.op.image.resize2d(net.conv(x, 4), (16, 16), method="cubic"), "cubic")
        return net.conv(
            net(relax.op.nn.pad(net.conv(y, 4, name="b"), (0, 0, 0, 0, 1, 1, 1, 1), pad_value=1.5), "pad"),
            2,
            name="last",
        )

    decided = decisions(network(body, (1, 3, 8, 8)))
    assert decided["cubic"].reason == "resize by cubic has no integer form"
    assert decided["pad"].reason == "padding with 1.5 need not be representable"


def test_movement_of_the_result_stays_in_float(network, decisions):
    module = network(lambda net, x: net(relax.op.reshape(net.conv(x, 4), (1, 256)), "flat"), (1, 3, 8, 8))
    assert decisions(module)["flat"].reason == "its result is only used in float"
