"""Annotate as a whole: the network before it and behind it."""

from tvm import relax

from octet.passes.annotate import Annotate
from octet.passes.ops import call

OWN = {"spec": "own", "scheme": "affine", "source": 1}
WEIGHT = {"spec": "weight", "scheme": "symmetric", "source": 0, "made": 0, "axis": 0}


def observe(net, x, tensor, edge, **attributes):
    return net(call("octet.observe", [x], tensor=tensor, edge=edge, group=edge, **attributes))


def test_what_layers_read_and_their_weights_are_observed(network, becomes):
    """The input is not made by an int8 operator; the last result is not observed."""

    def before(net, x):
        return net.conv(net.relu(net.conv(x, 4, 3, name="first")), 2, name="last", bias=False)

    def expected(net, x):
        first, bias, last = net.const(4, 3, 3, 3), net.const(1, 4, 1, 1), net.const(2, 4, 1, 1)
        x = observe(net, x, "x", 0, **OWN, made=0)
        first = observe(net, first, "first.weight", 2, **WEIGHT)
        y = net(relax.op.add(net(relax.op.nn.conv2d(x, first, padding=[1, 1, 1, 1])), bias))
        y = observe(net, net(relax.op.nn.relu(y)), "relu", 1, **OWN, made=1)
        return net(relax.op.nn.conv2d(y, observe(net, last, "last.weight", 3, **WEIGHT)))

    becomes(Annotate(), *(network(body, (1, 3, 8, 8)) for body in (before, expected)))


def test_a_network_without_layers_stays(network, unchanged):
    unchanged(Annotate(), network(lambda net, x: net(relax.op.nn.softmax(net(relax.op.tanh(x)))), (1, 5)))
