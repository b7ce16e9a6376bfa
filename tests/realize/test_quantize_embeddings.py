"""Tables in int8 by row: where their error is below that of the layer behind, and where they stay in float."""

import numpy as np
import pytest
from tvm import relax
from tvm.ir import assert_structural_equal
from tvm.relax import op as R

from octet.passes import ops
from octet.passes.policy.quantize_embeddings import QuantizeEmbeddings, quantize_embeddings
from octet.passes.realize.realize import realize
from octet.passes.referee import reference
from octet.passes.rewriting.grids import Grid, with_grids

ROWS, WIDTH = 1100, 64
TABLE = (np.random.default_rng(0).normal(size=(ROWS, WIDTH)) * np.linspace(0.1, 2, ROWS)[:, None]).astype("float32")
TABLE[5] = 0  # Padding has such a row.
SCALES = np.where(np.abs(TABLE).max(1) > 0, np.abs(TABLE).max(1) / np.float32(127), np.float32(1)).astype("float32")
CODES = np.rint(TABLE / SCALES[:, None]).astype("int8")
ONES, ZEROS = np.ones(WIDTH, "float32"), np.zeros(WIDTH, "float32")


def rows(net, i, table=TABLE, axis=0, mode="clip"):
    return net(R.take(relax.const(table), i, axis, mode=mode), "rows")


def coded(net, i):
    return net(ops.call("octet.embedding", [relax.const(CODES), relax.const(SCALES), i]), "rows")


def normalised(net, x, scale=0.03, factors=ONES):
    return net.quantize(net(R.nn.layer_norm(x, relax.const(factors), relax.const(ZEROS), axes=[-1])), scale, 0)


def scaled_root_mean_square(net, x):
    return net.quantize(
        net(R.nn.rms_norm(net(R.multiply(x, relax.const(np.float32(8)))), relax.const(ONES), axes=[-1])), 0.03, 0
    )


def sum_with_positions(net, x):
    return normalised(net, net(R.add(x, relax.const(TABLE[:7]))))


def around_a_block(net, x):
    """A sum in float32 around layers that the table feeds in int8; behind it the layers' own errors decide."""
    block = net(R.tanh(net.qdq(net(R.nn.layer_norm(x, relax.const(ONES), relax.const(ZEROS), axes=[-1])), 0.03, 0)))
    return net(R.nn.softmax(net(R.add(x, block)), -1))


APPLIES = [
    normalised,
    scaled_root_mean_square,
    sum_with_positions,
    around_a_block,
    lambda net, x: net.quantize(net(R.nn.relu(x)), 0.06, 0),
]


@pytest.mark.parametrize("behind", APPLIES)
def test_before_and_expected(build, becomes, behind):
    before, expected = (
        build(lambda net, i, look=look: behind(net, look(net, i)), "int64", i=[1, 7]) for look in (rows, coded)
    )
    after = becomes(QuantizeEmbeddings(), before, expected)
    i = np.array([[0, 5, 3, ROWS - 1, ROWS + 4, -2, 77]])
    have, want = (reference.run(module, {"i": i})[0].astype("float32") for module in (after, before))
    assert np.abs(have - want).max() <= (1 if have.dtype == np.int8 or behind is not around_a_block else 0.01)


def test_the_report(build):
    found = quantize_embeddings(build(lambda net, i: normalised(net, rows(net, i)), "int64", i=[1, 7]))
    assert found.kept == {}
    (layer,) = [layer for layer in realize(found.module).layers if layer.operator == "octet.embedding"]
    assert (layer.name, layer.dtype, layer.reason) == ("rows", "int8", "")


def computed(net, i):
    table = net(R.astype(net(R.broadcast_to(net(R.reshape(i, [7, 1])), [7, WIDTH])), "float32"))
    return normalised(net, net(R.take(table, i, 0, mode="clip")))


def floats_alone(net, x):
    """A sum of the table's rows with what comes of them."""
    return net(R.add(x, net(R.nn.relu(net(R.add(x, x))))))


STAYS = {
    "its table has 640 elements, too few": lambda net, i: normalised(net, rows(net, i, TABLE[:10])),
    "its table has no rows of its own": lambda net, i: net.quantize(rows(net, i, TABLE, 1), 0.06, 0),
    "its rows are a result of the network": lambda net, i: rows(net, i),
    "no layer behind it is in int8": lambda net, i: floats_alone(net, rows(net, i)),
    "its table holds infinite values": lambda net, i: normalised(
        net, rows(net, i, np.where(TABLE > 3, np.float32(np.inf), TABLE))
    ),
    "times the error of the layer behind (0.5 is the most)": lambda net, i: normalised(net, rows(net, i), 0.01),
    "nn.softmax reads its rows in float": lambda net, i: net.quantize(net(R.nn.softmax(rows(net, i), -1)), 0.01, 0),
    "multiply reads its rows in float": lambda net, i: net.quantize(
        net(R.multiply(rows(net, i), net(R.astype(net(R.reshape(i, [1, 7, 1])), "float32")))), 1.0, 0
    ),
    "a normalisation behind it has computed factors": lambda net, i: net.quantize(
        net(
            R.nn.layer_norm(
                rows(net, i),
                net(R.astype(net(R.broadcast_to(net(R.max(i)), [WIDTH])), "float32")),
                relax.const(ZEROS),
                axes=[-1],
            )
        ),
        1.0,
        0,
    ),
    "a look-up only copies rows": computed,
}


@pytest.mark.parametrize("reason", STAYS)
def test_does_not_apply(build, unchanged, reason):
    before = build(STAYS[reason], "int64", i=[1, 7])
    unchanged(QuantizeEmbeddings(), before)
    found = quantize_embeddings(before)
    assert found.module is before
    assert len(found.kept) == 1 and reason in next(iter(found.kept.values())), found.kept


def test_a_file_that_comes_quantised(build):
    """Its integers come back whatever stands behind, and nothing that it has in float is rounded."""
    exact = CODES.astype("float32") * SCALES[:, None]
    module = build(lambda net, i: rows(net, i, exact), "int64", i=[1, 7])
    (reason,) = quantize_embeddings(module, given=True).kept.values()
    assert reason == "its table is float32 in a file that comes quantised"
    found = quantize_embeddings(with_grids(module, [Grid.of(CODES, SCALES)]), given=True)
    assert_structural_equal(found.module["main"], build(coded, "int64", i=[1, 7])["main"], map_free_vars=True)
