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
        g.add(
            str(g.rng.choice(["Add", "Sub", "Mul", "Max", "Min"])),
            pair if g.rng.random() < 0.7 else pair[::-1],
            exact=True,
        )


def divide(g):
    x = g.floats()
    if x is not None:
        divisor = g.rng.uniform(0.5, 2, x.shape[-1:]).astype(np.float32)
        g.add("Div", [x, g.constant(divisor)])


def power(g):
    x = g.floats()
    positive = g.add("Softplus", [x]) if x is not None else []
    if positive:
        exponent = (
            g.constant(np.float32(g.rng.choice([0.5, 2, 3, -1, 1.5])))
            if g.rng.random() < 0.5
            else g.constant(g.rng.uniform(-1, 2, x.shape[-1:]).astype(np.float32))
        )
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
        made = g.add(
            str(g.rng.choice(["Less", "Greater", "LessOrEqual", "GreaterOrEqual", "Equal"])), [x, y], exact=True
        )
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
    to = g.rng.choice(
        [TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32, TensorProto.INT8, TensorProto.BOOL, TensorProto.UINT8]
    )
    if (
        x is not None
        and (np.abs(x.array.astype(np.float64)) < 100).all()
        and (to != TensorProto.UINT8 or (x.array >= 0).all())
    ):
        g.add("Cast", [x], exact=True, to=int(to))


def reduce(g):
    x = g.floats(accept=lambda v: v.rank > 0)
    if x is not None:
        kind = str(
            g.rng.choice(
                [
                    "ReduceMean",
                    "ReduceSum",
                    "ReduceMax",
                    "ReduceMin",
                    "ReduceL1",
                    "ReduceL2",
                    "ReduceSumSquare",
                    "ReduceLogSumExp",
                    "ReduceProd",
                ]
            )
        )
        axes = sorted(g.rng.choice(x.rank, int(g.rng.integers(1, x.rank + 1)), replace=False).tolist())
        g.add(
            kind,
            [x, g.constant(np.array(axes, np.int64))],
            exact=kind in ("ReduceMax", "ReduceMin"),
            keepdims=int(g.rng.integers(2)),
        )


def place(g):
    x = g.floats(exact=True, accept=lambda v: v.rank > 0)
    if x is not None:
        kind = str(g.rng.choice(["ArgMax", "ArgMin"]))
        g.add(
            kind,
            [x],
            exact=True,
            axis=int(g.rng.integers(-x.rank, x.rank)),
            keepdims=int(g.rng.integers(2)),
            select_last_index=int(g.rng.integers(2)),
        )


def softmax(g):
    x = g.floats(accept=lambda v: v.rank > 0)
    if x is not None:
        g.add(str(g.rng.choice(["Softmax", "LogSoftmax"])), [x], axis=int(g.rng.integers(-x.rank, x.rank)))


def running(g):
    x = g.floats(accept=lambda v: v.rank > 0)
    if x is not None:
        g.add(
            "CumSum",
            [x, g.constant(np.array(int(g.rng.integers(x.rank))))],
            exclusive=int(g.rng.integers(2)),
            reverse=int(g.rng.integers(2)),
        )


def first(g):
    x = g.floats(exact=True, accept=lambda v: v.rank > 0)
    if x is not None:
        axis = int(g.rng.integers(x.rank))
        if len(np.unique(x.array)) == x.array.size:  # Of equal elements either may come first.
            g.add(
                "TopK",
                [x, g.constant(np.array([int(g.rng.integers(1, x.shape[axis] + 1))]))],
                exact=True,
                outputs=2,
                axis=axis,
                largest=int(g.rng.integers(2)),
            )


def layer_norm(g):
    x = g.floats(accept=lambda v: v.rank > 1 and v.shape[-1] > 1)
    if x is not None:
        g.add("LayerNormalization", [x, g.normal(x.shape[-1]), g.normal(x.shape[-1])], axis=-1)
