"""What a random graph may append that moves elements without computing: functions of the Graph, as those of
random_operators.py."""

import numpy as np


def _any(g, *ranks, accept=lambda v: True):
    return g.pick(lambda v: (not ranks or v.rank in ranks) and not v.known and accept(v))


def transpose(g):
    x = _any(g)
    if x is not None and x.rank:
        g.add("Transpose", [x], exact=True, perm=g.rng.permutation(x.rank).tolist())


def reshape(g):
    x = _any(g)
    if x is None or x.array.size == 0:
        return
    extents, rest = [], x.array.size
    while rest > 1 and len(extents) < 5:
        divisors = [d for d in range(2, rest + 1) if rest % d == 0]
        extents.append(int(g.rng.choice(divisors)))
        rest //= extents[-1]
    extents = [*extents, rest] if rest > 1 else extents
    for _ in range(int(g.rng.integers(0, 2))):
        extents.insert(int(g.rng.integers(0, len(extents) + 1)), 1)
    if g.rng.random() < 0.5 and x.rank > 1 and x.shape[0]:  # The batch stays where it is.
        extents = [x.shape[0], -1]
    g.add("Reshape", [x, g.constant(np.array(extents, np.int64))], exact=True)


def unsqueeze(g):
    x = _any(g, accept=lambda v: v.rank < 6)
    if x is not None:
        g.add("Unsqueeze", [x, g.constant(np.array([int(g.rng.integers(-x.rank - 1, x.rank + 1))]))], exact=True)


def squeeze(g):
    x = _any(g, accept=lambda v: 1 in v.shape)
    if x is not None:
        g.add("Squeeze", [x, g.constant(np.array([x.shape.index(1)]))], exact=True)


def concat(g):
    x = _any(g, accept=lambda v: v.rank > 0)
    if x is None:
        return
    axis = int(g.rng.integers(x.rank))
    alike = [
        v
        for v in g.values
        if v.array.dtype == x.array.dtype
        and v.rank == x.rank
        and v.shape[:axis] + v.shape[axis + 1 :] == x.shape[:axis] + x.shape[axis + 1 :]
    ]
    parts = [x, *(alike[int(i)] for i in g.rng.integers(0, len(alike), int(g.rng.integers(1, 3))))]
    g.add("Concat", parts, exact=True, axis=axis - x.rank if g.rng.random() < 0.3 else axis)


def split(g):
    x = _any(g, accept=lambda v: any(extent > 1 for extent in v.shape))
    if x is not None:
        axis = int(g.rng.choice([i for i, extent in enumerate(x.shape) if extent > 1]))
        first = int(g.rng.integers(1, x.shape[axis]))
        g.add("Split", [x, g.constant(np.array([first, x.shape[axis] - first]))], exact=True, outputs=2, axis=axis)


def slice_(g):
    x = _any(g, accept=lambda v: v.rank > 0)
    if x is not None:
        axis = int(g.rng.integers(x.rank))
        step = int(g.rng.choice([1, 1, 2, -1, -2]))
        first, last = (int(i) for i in g.rng.integers(-x.shape[axis] - 1, x.shape[axis] + 2, 2))
        g.add("Slice", [x, *(g.constant(np.array([i])) for i in (first, last, axis, step))], exact=True)


def pad(g):
    x = g.floats(accept=lambda v: v.rank > 0 and min(v.shape) > 1)
    if x is not None:
        widths = (g.rng.integers(0, 2, 2 * x.rank) * (g.rng.random(2 * x.rank) < 0.5)).astype(np.int64)
        mode = str(g.rng.choice(["constant", "edge", "reflect"]))
        g.add(
            "Pad",
            [x, g.constant(widths), *([g.constant(np.float32(0.75))] if mode == "constant" else [])],
            exact=True,
            mode=mode,
        )


def tile(g):
    x = _any(g, accept=lambda v: 0 < v.rank)
    if x is not None:
        g.add("Tile", [x, g.constant(g.rng.integers(1, 3, x.rank))], exact=True)


def expand(g):
    x = _any(g, accept=lambda v: v.rank < 6)
    if x is not None:
        shape = [extent if extent > 1 else int(g.rng.integers(1, 4)) for extent in x.shape]
        g.add(
            "Expand",
            [x, g.constant(np.array(([int(g.rng.integers(1, 4))] if g.rng.random() < 0.5 else []) + shape, np.int64))],
            exact=True,
        )


def gather(g):
    x = _any(g, accept=lambda v: v.rank > 0)
    if x is not None:
        axis = int(g.rng.integers(x.rank))
        extent = x.shape[axis]
        places = g.integers(
            lambda v: (
                v.array.dtype in (np.int32, np.int64)
                and v.rank < 4
                and (v.array >= -extent).all()
                and (v.array < extent).all()
            )
        )
        if places is None or g.rng.random() < 0.5:
            places = g.constant(g.rng.integers(-extent, extent, g.rng.integers(1, 4, int(g.rng.integers(0, 3)))))
        g.add("Gather", [x, places], exact=True, axis=axis)


def gather_elements(g):
    x = _any(g, accept=lambda v: v.rank > 0)
    if x is not None:
        axis = int(g.rng.integers(x.rank))
        shape = list(x.shape)
        shape[axis] = int(g.rng.integers(1, 5))
        g.add(
            "GatherElements",
            [x, g.constant(g.rng.integers(-x.shape[axis], x.shape[axis], shape))],
            exact=True,
            axis=axis,
        )


def blocks(g):
    x = g.floats(4, accept=lambda v: v.shape[1] % 4 == 0 or (v.shape[2] % 2 == 0 and v.shape[3] % 2 == 0))
    if x is not None:
        if x.shape[1] % 4 == 0:
            g.add("DepthToSpace", [x], exact=True, blocksize=2, mode=str(g.rng.choice(["DCR", "CRD"])))
        else:
            g.add("SpaceToDepth", [x], exact=True, blocksize=2)
