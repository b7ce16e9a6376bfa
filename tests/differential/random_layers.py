"""Layers of random graphs: what becomes int8."""

import numpy as np
from random_movement import (
    blocks,
    concat,
    expand,
    gather,
    gather_elements,
    pad,
    reshape,
    slice_,
    split,
    squeeze,
    tile,
    transpose,
    unsqueeze,
)
from random_operators import (
    binary,
    cast,
    choose,
    compare,
    divide,
    first,
    layer_norm,
    logic,
    place,
    power,
    reduce,
    roots,
    running,
    softmax,
    unary,
    whole,
)


def _weights(g, *shape):
    return g.constant((g.rng.standard_normal(shape) / np.sqrt(max(np.prod(shape[1:]), 1))).astype(np.float32))


def conv(g):
    x = g.floats(3, 4)
    if x is None:
        return
    spatial, channels = x.rank - 2, x.shape[1]
    kernel = [int(k) for k in g.rng.choice([1, 2, 3], spatial)]
    group = int(g.rng.choice([d for d in (1, 2, channels) if channels % d == 0]))
    outputs = group * int(g.rng.choice([1, 2, 5]))
    pads = g.rng.integers(0, 2, 2 * spatial).tolist()
    if any(extent + pads[i] + pads[i + spatial] < k for i, (extent, k) in enumerate(zip(x.shape[2:], kernel))):
        return
    operands = [
        x,
        _weights(g, outputs, channels // group, *kernel),
        *([g.normal(outputs)] if g.rng.random() < 0.7 else []),
    ]
    g.add("Conv", operands, kernel_shape=kernel, pads=pads, strides=g.rng.integers(1, 3, spatial).tolist(), group=group)


def transposed_conv(g):
    x = g.floats(4)
    if x is not None:
        g.add(
            "ConvTranspose",
            [x, _weights(g, x.shape[1], 3, 2, 2)],
            kernel_shape=[2, 2],
            strides=g.rng.integers(1, 3, 2).tolist(),
        )


def product(g):
    x = g.floats(2, 3, 4)
    if x is None:
        return
    other = g.floats(
        x.rank, accept=lambda v: v.rank == x.rank and v.shape[:-2] == x.shape[:-2] and v.shape[-2] == x.shape[-1]
    )
    g.add(
        "MatMul",
        [
            x,
            other
            if other is not None and g.rng.random() < 0.6
            else _weights(g, x.shape[-1], int(g.rng.choice([1, 3, 16, 20]))),
        ],
    )


def attention(g):
    """x @ x^T, with equal operands."""
    x = g.floats(2, 3, 4)
    if x is not None:
        turned = g.add("Transpose", [x], exact=True, perm=[*range(x.rank - 2), x.rank - 1, x.rank - 2])
        scores = turned and g.add("MatMul", [x, turned[0]])
        if scores:
            g.add("Softmax", [scores[0]], axis=-1)


def gemm(g):
    x = g.floats(2)
    if x is not None:
        g.add(
            "Gemm",
            [x, _weights(g, 7, x.shape[1]), g.normal(7)],
            transB=1,
            alpha=float(g.rng.choice([1, 0.5])),
            beta=float(g.rng.choice([1, 0.5])),
        )


def pool(g):
    x = g.floats(3, 4, accept=lambda v: min(v.shape[2:]) >= 2)
    if x is not None:
        kind, spatial = str(g.rng.choice(["MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"])), x.rank - 2
        if x.rank == 3 and kind in ("MaxPool", "GlobalMaxPool"):
            return  # The evaluator leaves out the last place of some rows, and axes of what it makes of others.
        if kind.startswith("Global"):
            g.add(kind, [x], exact=kind == "GlobalMaxPool")
        else:
            more = {"count_include_pad": int(g.rng.integers(2))} if kind == "AveragePool" else {}
            pads = g.rng.integers(0, 2, 2 * spatial).tolist()
            g.add(
                kind,
                [x],
                exact=kind == "MaxPool",
                kernel_shape=[2] * spatial,
                strides=g.rng.integers(1, 3, spatial).tolist(),
                # The evaluator's maximum gives some results of uneven borders another shape.
                pads=pads if kind == "AveragePool" else pads[:spatial] * 2,
                **more,
            )


def norm(g):
    x = g.floats(2, 3, 4)
    if x is not None:
        c = x.shape[1]
        if g.rng.random() < 0.6 or x.rank < 3:
            positive = g.constant(g.rng.uniform(0.5, 2, c).astype(np.float32))
            g.add("BatchNormalization", [x, g.normal(c), g.normal(c), g.normal(c), positive])
        else:
            g.add("InstanceNormalization", [x, g.normal(c), g.normal(c)])


def resize(g):
    x = g.floats(4)
    if x is not None:
        sizes = g.constant(np.array([*x.shape[:2], *(2 * extent for extent in x.shape[2:])]))
        mode = str(g.rng.choice(["nearest", "linear"]))
        more = {"nearest_mode": "floor"} if mode == "nearest" else {}
        g.add(
            "Resize",
            [x, None, None, sizes],
            mode=mode,
            coordinate_transformation_mode=str(g.rng.choice(["half_pixel", "asymmetric"])),
            **more,
        )


LAYERS = [conv, conv, product, product, attention, gemm, pool, norm, transposed_conv, resize]
EVERY = [
    *LAYERS,
    unary,
    unary,
    unary,
    binary,
    binary,
    divide,
    power,
    roots,
    whole,
    whole,
    compare,
    logic,
    choose,
    cast,
    transpose,
    transpose,
    reshape,
    reshape,
    unsqueeze,
    squeeze,
    concat,
    split,
    slice_,
    pad,
    tile,
    expand,
    gather,
    gather_elements,
    blocks,
    reduce,
    reduce,
    place,
    softmax,
    running,
    first,
    layer_norm,
]
