"""Attention as ONNX Runtime's optimiser writes it: Attention (with the product in front of it), MultiHeadAttention and
RotaryEmbedding."""

from math import sqrt

import numpy as np

from ....targets.errors import UnsupportedModelError
from .body import BEFORE, Body

_LOWEST = float(np.finfo(np.float32).min)


def attention_with_product(b: Body) -> list[str]:
    """Of x [batch, tokens, width] through one product for queries, keys and values, and the keys and values with those
    of earlier tokens in front [2, batch, heads, tokens, depth]."""
    _refuse(b, {"do_rotary", "past_present_share_buffer"})
    batch, tokens, _ = b.shape(0)
    widths = b.attrs.get("qkv_hidden_sizes") or [b.shape(1)[1] // 3] * 3
    product = b("MatMul", b.input(0), b.input(1))
    product = b("Add", product, b.input(2)) if b.input(2) else product
    parts = b("Split", product, b.ints(*widths), outputs=3, axis=-1)
    q, k, v = (_heads(b, part, batch, tokens, width) for part, width in zip(parts, widths))
    earlier = b.shape(4)[3] if b.input(4) else 0
    if earlier:
        past = b("Split", b.input(4), b.ints(1, 1), outputs=2, axis=0)
        k, v = (b("Concat", b("Squeeze", each, b.ints(0)), new, axis=2) for each, new in zip(past, (k, v)))
    mask = _mask(b, 3, batch, earlier + tokens)
    result = _attended(b, q, k, v, widths, (batch, tokens, earlier + tokens), mask, b.input(5))
    return [result, b("Concat", *(b("Unsqueeze", each, b.ints(0)) for each in (k, v)), axis=0) if b.wanted(1) else ""]


def multi_head_attention(b: Body) -> list[str]:
    """Of queries, keys and values [batch, tokens, width]; keys and values may come as heads [batch, heads, tokens,
    depth]. With earlier keys and values in front, which are results as well."""
    if len(b.shape(0)) != 3 or not (b.input(1) and b.input(2)):
        raise UnsupportedModelError(f"has queries, keys and values in one tensor; {BEFORE}")
    batch, tokens, width = b.shape(0)
    bias = b("Split", b.input(3), b.ints(*_widths(b)), outputs=3, axis=0) if b.input(3) else ["", "", ""]
    q = _heads(b, _biased(b, b.input(0), bias[0]), batch, tokens, width)
    k, v = (
        _heads(b, _biased(b, b.input(i), bias[i]), batch, b.shape(i)[1], b.shape(i)[2])
        if len(b.shape(i)) == 3
        else b.input(i)
        for i in (1, 2)
    )
    keys = b.shape(1)[-2]
    if b.input(6) and b.shape(6)[2]:
        k, v = (b("Concat", b.input(i), new, axis=2) for i, new in ((6, k), (7, v)))
        keys += b.shape(6)[2]
    mask = _mask(b, 4, batch, keys)
    return [_attended(b, q, k, v, _widths(b), (batch, tokens, keys), mask, b.input(5)), k, v]


def rotary_embedding(b: Body) -> list[str]:
    """By ONNX's own operator, which has the cached angles before the places. One place alone is the first token's."""
    x, places, cosines, sines = (b.input(i) for i in range(4))
    if b.attrs.get("scale", 1.0) != 1 or b.attrs.get("is_packed_batching", 0):
        raise UnsupportedModelError(f"scales its positions, or packs its batch; {BEFORE}")
    shape = b.shape(0)
    batch, tokens = shape[0], shape[-2]
    if int(np.prod(b.shape(1))) == 1 and (batch, tokens) != (1, 1):
        counted = b("Add", b("Reshape", places, b.ints(1, 1)), b.const(np.arange(tokens)[None], np.int64))
        places = b("Expand", counted, b.ints(batch, tokens))
    else:
        places = b("Reshape", places, b.ints(batch, tokens))
    given = {name: b.attrs[name] for name in ("interleaved", "num_heads", "rotary_embedding_dim") if name in b.attrs}
    heads = given.get("num_heads", 0)
    if len(shape) == 3 and not heads:
        given["num_heads"] = shape[2] // (2 * b.shape(2)[1])
    return [b("RotaryEmbedding", x, cosines, sines, places, **given)]


def _refuse(b: Body, names: set[str]) -> None:
    for name in sorted(names):
        if b.attrs.get(name, 0):
            raise UnsupportedModelError(f"has {name}; {BEFORE}")


def _widths(b: Body) -> list[int]:
    heads = b.attrs["num_heads"]
    return [shape[2] if len(shape) == 3 else heads * shape[3] for shape in (b.shape(0), b.shape(1), b.shape(2))]


def _biased(b: Body, x: str, bias: str) -> str:
    return b("Add", x, bias) if bias else x


def _heads(b: Body, x: str, batch: int, tokens: int, width: int) -> str:
    heads = b.attrs["num_heads"]
    split = b("Reshape", x, b.ints(batch, tokens, heads, width // heads))
    return b("Transpose", split, perm=[0, 2, 1, 3])


def _mask(b: Body, index: int, batch: int, keys: int) -> str:
    """What is added to scores: of the places kept [batch, keys], with an axis of queries or of heads and queries, or of
    the number of the first ones that are kept [batch]; "" for none."""
    if not b.input(index):
        return ""
    shape = b.shape(index)
    if shape == (batch,):
        ends = b("Cast", b("Reshape", b.input(index), b.ints(batch, 1, 1, 1)), to=7)
        kept = b("Less", b.const(np.arange(keys).reshape(1, 1, 1, -1), np.int64), ends)
    elif shape[-1] == keys and len(shape) in (2, 3):
        between = [1] * (4 - len(shape))
        kept = b("Cast", b("Reshape", b.input(index), b.ints(shape[0], *between, *shape[1:])), to=9)
    else:
        raise UnsupportedModelError(f"has a mask {list(shape)} for {keys} keys; {BEFORE}")
    return b("Where", kept, b.const(0.0), b.const(b.attrs.get("mask_filter_value", -10000.0)))


def _attended(
    b: Body,
    q: str,
    k: str,
    v: str,
    widths: list[int],
    extents: tuple[int, int, int],
    mask: str,
    bias: str,
) -> str:
    """softmax(q @ k.T * scale + mask + bias) @ v, its heads side by side. extents: batch, queries and keys."""
    batch, queries, keys = extents
    scale = b.attrs.get("scale", 0.0) or 1 / sqrt(widths[0] // b.attrs["num_heads"])
    scores = b("Mul", b("MatMul", q, b("Transpose", k, perm=[0, 1, 3, 2])), b.const(scale))
    for added in (bias, mask):
        scores = b("Add", scores, added) if added else scores
    if b.attrs.get("unidirectional", 0):
        later = np.arange(keys) > np.arange(keys - queries, keys)[:, None]
        scores = b("Where", b.const(later, np.bool_), b.const(_LOWEST), scores)
    mixed = b("Transpose", b("MatMul", b("Softmax", scores, axis=-1), v), perm=[0, 2, 1, 3])
    return b("Reshape", mixed, b.ints(batch, queries, widths[2]))
