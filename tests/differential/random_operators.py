"""What a random graph may append: functions of the Graph (random_generator.py), each for one kind of operator."""

import numpy as np
from onnx import TensorProto

EXACT = ("Relu", "Abs", "Neg", "Identity", "LeakyRelu", "HardSigmoid", "HardSwish", "Softsign", "ThresholdedRelu")
SMOOTH = ("Sigmoid", "Tanh", "Erf", "Softplus", "Elu", "Selu", "Celu", "Mish", "Sin", "Cos", "Exp", "Atan", "Sinh")
JUMPS = ("Floor", "Ceil", "Round", "Sign")


def unary(g):
    kind = g.rng.choice(EXACT + SMOOTH + JUMPS)
    x = g.floats(exact=kind in JUMPS or kind == "ThresholdedRelu")
    if x is not None:
        g.add(str(kind), [x], exact=kind in ("Relu", "Abs", "Neg", "Identity", *JUMPS))


def roots(g):
    x = g.floats()
    if x is not None:
        (positive,) = g.add("Abs", [x], exact=True) or [None]
        (moved,) = (positive and g.add("Add", [positive, g.constant(np.float32(0.5))], exact=True)) or [None]
        if moved:
            g.add(str(g.rng.choice(["Sqrt", "Log", "Reciprocal"])), [moved])


def _second(g, x):
    """An operand that broadcasts with x: x itself, another value, or a constant."""
    draw = g.rng.random()
    if draw < 0.2:
        return x
    if draw < 0.6:
        other = g.pick(lambda v: v.array.dtype == x.array.dtype and _broadcasts(v.shape, x.shape))
        if other is not None:
            return other
    shape = tuple(extent if g.rng.random() < 0.5 else 1 for extent in x.shape)[int(g.rng.integers(0, x.rank + 1)) :]
    array = g.rng.standard_normal(shape) * 2 if x.array.dtype.kind == "f" else g.rng.integers(-9, 9, shape)
    return g.constant(np.asarray(array).astype(x.array.dtype))


def _broadcasts(a, b):
    return all(p == q or 1 in (p, q) for p, q in zip(a[::-1], b[::-1]))


def binary(g):
    x = g.floats()
    if x is not None:
        pair = [x, _second(g, x)]
        g.add(str(g.rng.choice(["Add", "Sub", "Mul", "Max", "Min"])), pair if g.rng.random() < 0.7 else pair[::-1], exact=True)


def divide(g):
    x = g.floats()
    if x is not None:
        divisor = g.rng.uniform(0.5, 2, x.shape[-1:]).astype(np.float32)
        g.add("Div", [x, g.constant(divisor)])


def power(g):
    x = g.floats()
    positive = g.add("Softplus", [x]) if x is not None else []
    if positive:
        exponent = g.constant(np.float32(g.rng.choice([0.5, 2, 3, -1, 1.5]))) if g.rng.random() < 0.5 else g.constant(g.rng.uniform(-1, 2, x.shape[-1:]).astype(np.float32))
        g.add("Pow", [positive[0], exponent])


def whole(g):
    x = g.integers()
    if x is not None:
        kind = str(g.rng.choice(["Add", "Sub", "Mul", "Div", "Mod", "Max", "Min", "Abs", "Neg"]))
        y = _second(g, x)
        if kind in ("Div", "Mod") and not y.known:
            y = g.constant(g.rng.integers(1, 9, ()).astype(x.array.dtype) * g.rng.choice([-1, 1]).astype(x.array.dtype))
        if kind in ("Div", "Mod") and not y.array.all():
            return
        g.add(kind, [x] if kind in ("Abs", "Neg") else [x, y], exact=True)


def compare(g):
    x = g.floats(exact=True) if g.rng.random() < 0.6 else g.integers()
    if x is None:
        return
    y = _second(g, x)
    if y.exact:
        made = g.add(str(g.rng.choice(["Less", "Greater", "LessOrEqual", "GreaterOrEqual", "Equal"])), [x, y], exact=True)
        if made and g.rng.random() < 0.7:
            choose(g)


def logic(g):
    x = g.pick(lambda v: v.array.dtype == bool)
    y = g.pick(lambda v: v.array.dtype == bool and x is not None and _broadcasts(v.shape, x.shape))
    if x is not None and y is not None:
        kind = str(g.rng.choice(["And", "Or", "Xor", "Not", "Equal"]))
        g.add(kind, [x] if kind == "Not" else [x, y], exact=True)


def choose(g):
    condition = g.pick(lambda v: v.array.dtype == bool)
    if condition is not None:
        x = g.pick(lambda v: v.array.dtype != bool and _broadcasts(v.shape, condition.shape))
        y = _second(g, x) if x is not None else None
        if y is not None and _broadcasts(np.broadcast_shapes(x.shape, condition.shape), y.shape):
            g.add("Where", [condition, x, y], exact=True)


def cast(g):
    x = g.pick(lambda v: (v.exact or v.array.dtype.kind != "f") and not v.known)
    to = g.rng.choice([TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32, TensorProto.INT8, TensorProto.BOOL, TensorProto.UINT8])
    if x is not None and (np.abs(x.array.astype(np.float64)) < 100).all() and (to != TensorProto.UINT8 or (x.array >= 0).all()):
        g.add("Cast", [x], exact=True, to=int(to))


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
    if g.rng.random() < 0.5 and x.rank > 1 and x.shape[0]:  # the batch stays
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
    alike = [v for v in g.values if v.array.dtype == x.array.dtype and v.rank == x.rank and v.shape[:axis] + v.shape[axis + 1 :] == x.shape[:axis] + x.shape[axis + 1 :]]
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
        g.add("Pad", [x, g.constant(widths), *([g.constant(np.float32(0.75))] if mode == "constant" else [])], exact=True, mode=mode)


def tile(g):
    x = _any(g, accept=lambda v: 0 < v.rank)
    if x is not None:
        g.add("Tile", [x, g.constant(g.rng.integers(1, 3, x.rank))], exact=True)


def expand(g):
    x = _any(g, accept=lambda v: v.rank < 6)
    if x is not None:
        shape = [extent if extent > 1 else int(g.rng.integers(1, 4)) for extent in x.shape]
        g.add("Expand", [x, g.constant(np.array(([int(g.rng.integers(1, 4))] if g.rng.random() < 0.5 else []) + shape, np.int64))], exact=True)


def gather(g):
    x = _any(g, accept=lambda v: v.rank > 0)
    if x is not None:
        axis = int(g.rng.integers(x.rank))
        extent = x.shape[axis]
        places = g.integers(lambda v: v.array.dtype in (np.int32, np.int64) and v.rank < 4 and (v.array >= -extent).all() and (v.array < extent).all())
        if places is None or g.rng.random() < 0.5:
            places = g.constant(g.rng.integers(-extent, extent, g.rng.integers(1, 4, int(g.rng.integers(0, 3)))))
        g.add("Gather", [x, places], exact=True, axis=axis)


def gather_elements(g):
    x = _any(g, accept=lambda v: v.rank > 0)
    if x is not None:
        axis = int(g.rng.integers(x.rank))
        shape = list(x.shape)
        shape[axis] = int(g.rng.integers(1, 5))
        g.add("GatherElements", [x, g.constant(g.rng.integers(-x.shape[axis], x.shape[axis], shape))], exact=True, axis=axis)


def blocks(g):
    x = g.floats(4, accept=lambda v: v.shape[1] % 4 == 0 or (v.shape[2] % 2 == 0 and v.shape[3] % 2 == 0))
    if x is not None:
        if x.shape[1] % 4 == 0:
            g.add("DepthToSpace", [x], exact=True, blocksize=2, mode=str(g.rng.choice(["DCR", "CRD"])))
        else:
            g.add("SpaceToDepth", [x], exact=True, blocksize=2)


def reduce(g):
    x = g.floats(accept=lambda v: v.rank > 0)
    if x is not None:
        kind = str(g.rng.choice(["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp", "ReduceProd"]))
        axes = sorted(g.rng.choice(x.rank, int(g.rng.integers(1, x.rank + 1)), replace=False).tolist())
        g.add(kind, [x, g.constant(np.array(axes, np.int64))], exact=kind in ("ReduceMax", "ReduceMin"), keepdims=int(g.rng.integers(2)))


def place(g):
    x = g.floats(exact=True, accept=lambda v: v.rank > 0)
    if x is not None:
        kind = str(g.rng.choice(["ArgMax", "ArgMin"]))
        g.add(kind, [x], exact=True, axis=int(g.rng.integers(-x.rank, x.rank)), keepdims=int(g.rng.integers(2)), select_last_index=int(g.rng.integers(2)))


def softmax(g):
    x = g.floats(accept=lambda v: v.rank > 0)
    if x is not None:
        g.add(str(g.rng.choice(["Softmax", "LogSoftmax"])), [x], axis=int(g.rng.integers(-x.rank, x.rank)))


def running(g):
    x = g.floats(accept=lambda v: v.rank > 0)
    if x is not None:
        g.add("CumSum", [x, g.constant(np.array(int(g.rng.integers(x.rank))))], exclusive=int(g.rng.integers(2)), reverse=int(g.rng.integers(2)))


def first(g):
    x = g.floats(exact=True, accept=lambda v: v.rank > 0)
    if x is not None:
        axis = int(g.rng.integers(x.rank))
        if len(np.unique(x.array)) == x.array.size:  # of equal elements either may come first
            g.add("TopK", [x, g.constant(np.array([int(g.rng.integers(1, x.shape[axis] + 1))]))], exact=True, outputs=2, axis=axis, largest=int(g.rng.integers(2)))


def layer_norm(g):
    x = g.floats(accept=lambda v: v.rank > 1 and v.shape[-1] > 1)
    if x is not None:
        g.add("LayerNormalization", [x, g.normal(x.shape[-1]), g.normal(x.shape[-1])], axis=-1)
