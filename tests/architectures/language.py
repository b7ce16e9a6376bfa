"""Transformers and recurrent networks, in the operators that PyTorch's exporter writes."""

import numpy as np
from onnx import TensorProto
from onnx_graph import Graph, image


def attention(g, x, tokens, width, heads, mask=None, batch=1):
    """Multi-head self-attention: linear(softmax(q k' / sqrt(d) [+ mask]) v)."""
    size = width // heads

    def split(y, perm):
        return g.op("Transpose", g.op("Reshape", y, g.ints(batch, tokens, heads, size)), perm=perm)

    q, k, v = (split(g.linear(x, width, width), perm) for perm in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]))
    scores = g.op("Div", g.op("MatMul", q, k), g.scalar(size**0.5))
    scores = g.op("Add", scores, mask) if mask is not None else scores
    mixed = g.op("Transpose", g.op("MatMul", g.op("Softmax", scores, axis=-1), v), perm=[0, 2, 1, 3])
    return g.linear(g.op("Reshape", mixed, g.ints(batch, tokens, width)), width, width)


def _encoder(path, seed, layers, width, heads, tokens, vocabulary, segments, masked, batch=1):
    """A post-norm encoder over token numbers (BERT, DistilBERT)."""
    g = Graph(seed)
    x = g.op("Gather", g.normal((vocabulary, width), 0.5), "input_ids")
    if segments:
        x = g.op("Add", x, g.op("Gather", g.normal((2, width), 0.1), "token_type_ids"))
    x = g.layer_norm(g.op("Add", x, g.normal((tokens, width), 0.1)), width, 1e-12)
    mask = None
    if masked:
        mask = g.op("Cast", g.op("Unsqueeze", "attention_mask", g.ints(1, 2)), to=TensorProto.FLOAT)
        mask = g.op("Mul", g.op("Sub", g.scalar(1), mask), g.scalar(-10000))
    for _ in range(layers):
        x = g.layer_norm(g.op("Add", attention(g, x, tokens, width, heads, mask, batch), x), width, 1e-12)
        h = g.linear(g.gelu(g.linear(x, width, 4 * width)), 4 * width, width)
        x = g.layer_norm(g.op("Add", h, x), width, 1e-12)
    names = ["input_ids"] + ["token_type_ids"] * segments + ["attention_mask"] * masked
    g.save(path, {name: (TensorProto.INT64, [batch, tokens]) for name in names}, {x: [batch, tokens, width]})


def bert_base(path, layers=12, width=768, heads=12, tokens=128, vocabulary=30522):
    _encoder(path, 0, layers, width, heads, tokens, vocabulary, 1, 1)


def distilbert(path, layers=6, width=768, heads=12, tokens=128, vocabulary=30522):
    _encoder(path, 1, layers, width, heads, tokens, vocabulary, 0, 1)


def vit_b16(path, layers=12, width=768, heads=12, size=224, patch=16, classes=1000):
    """A pre-norm encoder over patches of an image with a class token."""
    g = Graph(2)
    side = size // patch
    x = g.op(
        "Conv",
        "input",
        g.normal((width, 3, patch, patch), (3 * patch * patch) ** -0.5),
        g.normal(width, 0.02),
        kernel_shape=[patch] * 2,
        strides=[patch] * 2,
    )
    x = g.op("Transpose", g.op("Reshape", x, g.ints(1, width, side * side)), perm=[0, 2, 1])
    tokens = side * side + 1
    x = g.op("Add", g.op("Concat", g.normal((1, 1, width), 0.5), x, axis=1), g.normal((1, tokens, width), 0.2))
    for _ in range(layers):
        x = g.op("Add", x, attention(g, g.layer_norm(x, width), tokens, width, heads))
        x = g.op("Add", x, g.linear(g.gelu(g.linear(g.layer_norm(x, width), width, 4 * width)), 4 * width, width))
    x = g.op("Gather", g.layer_norm(x, width), g.const(np.array(0, "int64")), axis=1)
    out = g.op("Gemm", x, g.normal((classes, width), width**-0.5), g.normal(classes, 0.02), transB=1)
    g.save(path, image(size), {out: [1, classes]})


def recurrent(
    path, kind="LSTM", inputs=40, hidden=320, steps=50, direction="bidirectional", layers=2, classes=29, batch=1
):
    """A stack of LSTM or GRU layers over [steps, batch, inputs] with a linear layer behind, as speech recognisers
    have."""
    g = Graph(3)
    gates, ways = {"LSTM": 4, "GRU": 3}[kind], 2 if direction == "bidirectional" else 1
    x, width = "input", inputs
    for _ in range(layers):
        w, r = (
            g.normal((ways, gates * hidden, width), width**-0.5),
            g.normal((ways, gates * hidden, hidden), hidden**-0.5),
        )
        extra = {"linear_before_reset": 1} if kind == "GRU" else {}
        y = g.op(
            kind, x, w, r, g.normal((ways, 2 * gates * hidden), 0.1), hidden_size=hidden, direction=direction, **extra
        )
        x = g.op("Reshape", g.op("Transpose", y, perm=[0, 2, 1, 3]), g.ints(steps, batch, ways * hidden))
        width = ways * hidden
    g.save(
        path,
        {"input": (TensorProto.FLOAT, [steps, batch, inputs])},
        {g.linear(x, width, classes): [steps, batch, classes]},
    )


NETWORKS = {f.__name__: f for f in (bert_base, distilbert, vit_b16, recurrent)}
