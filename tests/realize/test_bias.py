"""Float biases on the grid of a layer's sums: at most one step of the result, however coarse the sums are."""

import numpy as np
import pytest
from tvm import relax
from tvm.relax import op as R

from octet.passes import ops
from octet.passes.realize import linear
from octet.passes.realize.bias import finest_scale, is_missed, on_grid
from octet.passes.realize.realize import realize
from octet.passes.referee import reference
from octet.passes.rewriting.dataflow_graph import DataflowGraph

RNG = np.random.default_rng(3)
STEP = 0.5 * 0.25
CODES = RNG.integers(-1, 2, (6, 4, 1, 1)).astype("int8")
BIAS = (RNG.uniform(-1, 1, 6) * STEP).astype("float32")
X = (RNG.integers(-2, 3, (1, 4, 9, 9)) * 0.5).astype("float32")


def layer(net, x, matrix):
    """x W + b, sums in steps of 0.5 * 0.25."""
    if matrix:
        x = net(R.reshape(R.permute_dims(x, [0, 2, 3, 1]), [81, 4]))
        y = R.matmul(net.qdq(x, 0.5, 0), net.weight(np.ascontiguousarray(CODES[:, :, 0, 0].T), 0.25, 1))
        return net(R.add(net(y, "layer"), relax.const(BIAS)))
    y = net(R.nn.conv2d(net.qdq(x, 0.5, 0), net.weight(CODES, 0.25, 0)), "layer")
    return net(R.add(y, relax.const(BIAS.reshape(1, -1, 1, 1))))


def with_residual(net, y):
    return net(R.add(y, net.qdq(relax.const(np.float32(0.25)), 0.01, 0)))


FUNCTIONS = {
    "nothing": lambda net, y: y,
    "relu": lambda net, y: net(R.nn.relu(y)),
    "clip": lambda net, y: net(R.clip(y, -0.1, 0.2)),
    "sigmoid": lambda net, y: net(ops.call("octet.unary", [y], kind="sigmoid")),
    "residual": with_residual,
}


def difference(build, function, steps, matrix=False):
    """The most by which the integer graph's codes differ from the hub's, whose bias is a float; its layers."""

    def body(net, x):
        return net.quantize(FUNCTIONS[function](net, layer(net, x, matrix)), np.float32(STEP / steps), 0)

    module = build(body, x=[1, 4, 9, 9])
    realized = realize(module)
    hub, integer = (reference.run(each, {"x": X})[0].astype(int) for each in (module, realized.module))
    return np.abs(hub - integer).max(), realized.layers


@pytest.mark.parametrize("matrix", [False, True], ids=["conv", "matmul"])
@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("steps", [0.1, 1.0, 1.9, 2.1, 3.0, 40.0])
def test_codes_are_at_most_one_step_off(build, function, steps, matrix):
    most, layers = difference(build, function, steps, matrix)
    assert most <= 1
    assert layers[0].operator in ("octet.conv2d", "octet.dense", "relax.permute_dims")
    assert any(each.operator in ("octet.conv2d", "octet.dense") for each in layers)


def test_rounded_biases_would_be_many_steps_off(build, monkeypatch):
    """The counterexample: half a step of the sums is twenty of the result."""
    monkeypatch.setattr(linear, "LIMIT", np.inf)
    most, _ = difference(build, "nothing", 40.0)
    assert most > 10


def test_the_reason_is_said(build):
    _, layers = difference(build, "relu", 40.0)
    sums, *floats = layers
    assert sums.dtype == "int8" and [each.operator for each in floats] == ["relax.add", "relax.clip"]
    assert all("a step of its sums is 40 of its result's" in each.reason for each in floats)


@pytest.mark.parametrize("steps", [0.1, 1.9])
def test_finer_sums_keep_one_kernel(build, steps):
    _, layers = difference(build, "relu", steps)
    assert [each.operator for each in layers] == ["octet.conv2d"]


def test_whole_biases_leave_no_rest():
    whole, rest = on_grid(np.array([3, -2, 0.25], "float32") * np.float32(0.5), np.full(3, 0.5))
    assert whole.tolist() == [3, -2, 0] and rest.tolist() == [0, 0, 0.25]


def test_the_finest_scale_is_found_up_to_the_next_layer(build):
    def body(net, x):
        y = net(R.nn.relu(x), "start")
        other = net(R.nn.conv2d(net(R.exp(y)), relax.const(np.ones((4, 4, 1, 1), "float32"))))
        return relax.Tuple(
            [net.quantize(net(R.tanh(y)), 0.5, 0), net.quantize(y, 0.75, 0), net.quantize(other, 0.1, 0)]
        )

    graph = DataflowGraph(build(body, x=[1, 4, 9, 9])["main"])
    start = next(var for var, _ in graph.bindings if var.name == "start")
    assert finest_scale(graph, start) == 0.5
    assert is_missed(graph, start, np.array([0.5]), np.array([0.5])) and not is_missed(
        graph, start, np.array([0.1]), np.array([0.5])
    )
    assert finest_scale(graph, graph.bindings[-1][0]) == np.inf
