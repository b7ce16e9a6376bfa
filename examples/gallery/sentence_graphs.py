"""Sentence encoders from their weights: BERT (MiniLM) and MPNet, as sentence-transformers has them, to ONNX."""

import json
from pathlib import Path

import numpy as np
from graph_writer import Graph

_DTYPES = {"F32": "float32", "F16": "float16", "I64": "int64"}


def safetensors(path: Path) -> dict[str, np.ndarray]:
    """The arrays of such a file."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    head = json.loads(data[8:start])
    head.pop("__metadata__", None)
    return {
        name: np.frombuffer(
            data, _DTYPES[at["dtype"]], int(np.prod(at["shape"])), start + at["data_offsets"][0]
        ).reshape(at["shape"])
        for name, at in head.items()
    }


def sentence_encoder(folder: Path, length: int, path: Path) -> Path:
    """Texts of `length` tokens (input_ids, attention_mask) to the mean of their last states, of unit length. folder:
    that of model.safetensors and config.json."""
    config, weights, graph = (
        json.loads((folder / "config.json").read_text()),
        safetensors(folder / "model.safetensors"),
        Graph(),
    )
    kind = _MPNet(weights) if "encoder.relative_attention_bias.weight" in weights else _Bert(weights)
    width, heads, epsilon = config["hidden_size"], config["num_attention_heads"], config["layer_norm_eps"]

    def linear(x, name):
        return graph.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(x, name):
        return graph.norm(x, weights[f"{name}.weight"], weights[f"{name}.bias"], epsilon)

    x = graph.node("Gather", graph.constant(weights["embeddings.word_embeddings.weight"]), "input_ids")
    x = norm(graph.node("Add", x, graph.constant(kind.places(length))), "embeddings.LayerNorm")
    mask = graph.node("Cast", "attention_mask", to=1)
    wide = graph.node("Unsqueeze", mask, graph.constant([1, 2], "int64"))
    bias = graph.node("Mul", graph.node("Sub", graph.constant(1.0), wide), graph.constant(-10000.0))
    if (relative := kind.relative(length)) is not None:
        bias = graph.node("Add", bias, graph.constant(relative))
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{number}."
        query, key, value = (linear(x, layer + name) for name in kind.projections)
        mixed = linear(graph.attention(query, key, value, heads, width, bias), layer + kind.output)
        x = norm(graph.node("Add", mixed, x), layer + kind.norm)
        hidden = graph.gelu(linear(x, layer + "intermediate.dense"))
        x = norm(graph.node("Add", linear(hidden, layer + "output.dense"), x), layer + "output.LayerNorm")
    mask = graph.node("Unsqueeze", mask, graph.constant([2], "int64"))
    rows = graph.constant([1], "int64")
    total = graph.node("ReduceSum", graph.node("Mul", x, mask), rows, keepdims=0)
    mean = graph.node("Div", total, graph.node("ReduceSum", mask, rows, keepdims=0))
    graph.node("Div", mean, graph.node("ReduceL2", mean, axes=[1], keepdims=1), results=("embedding",))
    tokens = ("int64", ["N", length])
    return graph.save(path, {"input_ids": tokens, "attention_mask": tokens}, {"embedding": ("float32", ["N", width])})


class _Bert:
    projections = tuple(f"attention.self.{name}" for name in ("query", "key", "value"))
    output, norm = "attention.output.dense", "attention.output.LayerNorm"

    def __init__(self, weights):
        self._weights = weights

    def places(self, length):
        return (
            self._weights["embeddings.position_embeddings.weight"][:length]
            + self._weights["embeddings.token_type_embeddings.weight"][0]
        )[None]

    def relative(self, length):
        return None


class _MPNet:
    """Positions count from 2, and every head has a number for how far a key is away, in 32 buckets: the farther, the
    wider."""

    projections = tuple(f"attention.attn.{name}" for name in "qkv")
    output, norm = "attention.attn.o", "attention.LayerNorm"
    _farthest = 128

    def __init__(self, weights):
        self._weights = weights

    def places(self, length):
        return self._weights["embeddings.position_embeddings.weight"][None, 2 : 2 + length]

    def relative(self, length):
        table = self._weights["encoder.relative_attention_bias.weight"]
        half, away = len(table) // 2, np.arange(length)[None] - np.arange(length)[:, None]
        exact = half // 2
        wide = exact + np.log(np.maximum(np.abs(away), 1) / exact) / np.log(self._farthest / exact) * (half - exact)
        bucket = np.where(np.abs(away) < exact, np.abs(away), np.minimum(wide.astype(int), half - 1))
        return table[bucket + half * (away > 0)].transpose(2, 0, 1)[None]
