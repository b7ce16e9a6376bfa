"""No index of any operator reads outside of its tensor: negative ones count from the end, others beyond the end are
taken to the nearest end."""

import sys
from pathlib import Path

import numpy as np
import pytest

from octet.targets.errors import UnsupportedModelError

sys.path.insert(0, str(Path(__file__).parent))
from graphs import answers, check, imported, make

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 4, 5)).astype(np.float32)
NODES = [
    ("Gather", "x i", "rows", {"axis": 1}),
    ("GatherElements", "x e", "elements", {"axis": 2}),
    ("GatherND", "x n", "points", {}),
    ("GatherND", "x b", "each", {"batch_dims": 1}),
]
OUTPUTS = dict.fromkeys(("rows", "elements", "points", "each"), "float32")


def indices(low, high):
    return {
        "i": RNG.integers(low(4), high(4), (3,)),
        "e": RNG.integers(low(5), high(5), (2, 4, 3)).astype(np.int32),
        "n": np.stack([RNG.integers(low(n), high(n), 6) for n in X.shape], -1),
        "b": RNG.integers(low(4), high(4), (2, 3, 1)),
    }


def test_indices_inside():
    feed = {"x": X} | indices(lambda n: -n, lambda n: n)
    check(make(NODES, feed, OUTPUTS), feed)


def test_indices_outside_are_taken_to_the_nearest_end():
    feed = {"x": X} | indices(lambda n: -(2**30), lambda n: 2**30)
    inside = {
        name: np.where(i < 0, 0, np.asarray({"i": 3, "e": 4, "n": [1, 3, 4], "b": 3}[name])).astype(i.dtype)
        for name, i in feed.items()
        if name != "x"
    }
    want = {
        "rows": X[:, inside["i"]],
        "elements": np.take_along_axis(X, inside["e"], 2),
        "points": X[tuple(np.moveaxis(inside["n"], -1, 0))],
        "each": np.stack([x[i[:, 0]] for x, i in zip(X, inside["b"])]),
    }
    check(make(NODES, feed, OUTPUTS), feed, want)


@pytest.mark.parametrize(
    "node, index", [(NODES[0], [7]), (NODES[0], [1, -5]), (NODES[1], np.full((2, 4, 3), 5)), (NODES[2], [[0, 0, 9]])]
)
def test_a_known_index_outside_is_refused(node, index):
    kind, read, written, attrs = node
    proto = make(
        [(kind, read.replace(read.split()[1], "known"), written, attrs)],
        {"x": X},
        {written: "float32"},
        {"known": np.array(index)},
    )
    with pytest.raises(
        UnsupportedModelError,
        match=rf"{kind} node '\w+' reads index -?\d of an axis of extent \d; export it with indices inside",
    ):
        imported(proto)


@pytest.mark.parametrize("mode", ["half_pixel", "output_half_pixel"])
def test_regions_that_are_scaled(mode):
    """The numbers of the images lie outside too: the first one and the last one are taken."""
    x = RNG.standard_normal((2, 3, 8, 9)).astype(np.float32)
    corners = np.array([[0, 0, 9, 10], [4, 2, 15, 12], [1, 1, 30, 14]], np.float32)
    feed = {"x": x, "r": corners, "i": np.array([0, 1, 1])}
    nodes = [
        (
            "RoiAlign",
            "x r i",
            "y",
            {
                "output_height": 3,
                "output_width": 2,
                "sampling_ratio": 2,
                "spatial_scale": 0.5,
                "coordinate_transformation_mode": mode,
            },
        )
    ]
    proto = make(nodes, feed, {"y": "float32"})
    want = answers(proto, feed)
    check(proto, feed, want, atol=1e-5, levels=False)
    check(proto, feed | {"i": np.array([-9, 1, 7])}, want, atol=1e-5, levels=False)
