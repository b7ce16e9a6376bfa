"""Whisper from its weights as CTranslate2 stores them (model.bin): the encoder and the decoder to ONNX, and what they
read."""

import struct
from pathlib import Path

import numpy as np
from graph_writer import Graph

RATE, WINDOW, HOP, BANDS = 16000, 400, 160, 80
EPSILON = 1e-5
_DTYPES = ("float32", "int8", "int16", "int32", "float16")


def stored(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a model.bin, floats as float32."""
    data, place = path.read_bytes(), 0

    def read(form):
        nonlocal place
        [value] = struct.unpack_from(f"<{form}", data, place)
        place += struct.calcsize(form)
        return value

    def text():
        nonlocal place
        size = read("H")
        place += size
        return data[place - size : place].rstrip(b"\0").decode()

    version, _kind, _revision, found = read("I"), text(), read("I"), {}
    if version != 6:
        raise ValueError(f"{path}: version {version} of the format, 6 is known")
    for _ in range(read("I")):
        name, shape = text(), [read("I") for _ in range(read("B"))]
        dtype, size = _DTYPES[read("B")], read("I")
        value = np.frombuffer(data, dtype, size // np.dtype(dtype).itemsize, place).reshape(shape)
        found[name] = value.astype("float32") if value.dtype == "float16" else value
        place += size
    return found


class _Blocks:
    """Blocks with normalisation in front, as both halves have them."""

    def __init__(self, weights, half):
        self._weights, self._half, self.graph = weights, half, Graph()
        self.layers = sum(name.startswith(half) and name.endswith("ffn/linear_0/weight") for name in weights)
        self.heads = int(weights[f"{half}/num_heads"])

    def weight(self, name):
        return self._weights[f"{self._half}/{name}"]

    def linear(self, x, name):
        return self.graph.linear(x, self.weight(name + "/weight"), self.weight(name + "/bias"))

    def norm(self, x, name):
        return self.graph.norm(x, self.weight(name + "/gamma"), self.weight(name + "/beta"), EPSILON)

    def attend(self, x, name, width, over=None, bias=None):
        """Adds x + attention(norm(x)); over: what is attended to, x itself where None."""
        graph, inner = self.graph, self.norm(x, name + "/layer_norm")
        parts = [(inner, "linear_0")] if over is None else [(inner, "linear_0"), (over, "linear_1")]
        projected = []
        for source, linear in parts:
            weight, offset = self.weight(f"{name}/{linear}/weight"), self.weight(f"{name}/{linear}/bias")
            # As trained, queries, keys and values have one matrix each.
            for start in range(0, len(weight), width):
                projected.append(graph.linear(source, weight[start : start + width], offset[start : start + width]))
        mixed = graph.attention(*projected, self.heads, width, bias)
        return graph.node("Add", x, self.linear(mixed, f"{name}/linear_{len(parts)}"))

    def feed(self, x, name):
        hidden = self.graph.gelu(self.linear(self.norm(x, name + "/layer_norm"), name + "/linear_0"))
        return self.graph.node("Add", x, self.linear(hidden, name + "/linear_1"))


def encoder(weights: dict, frames: int, path: Path) -> Path:
    """Writes the encoder: mel [N, 80, frames] to features [N, frames / 2, width]."""
    blocks = _Blocks(weights, "encoder")
    graph, x = blocks.graph, "mel"
    for name, stride in (("conv1", 1), ("conv2", 2)):
        kernel, bias = (graph.constant(blocks.weight(f"{name}/{part}")) for part in ("weight", "bias"))
        x = graph.gelu(graph.node("Conv", x, kernel, bias, strides=[stride], pads=[1, 1], kernel_shape=[3]))
    places = blocks.weight("position_encodings/encodings")[None, : frames // 2]
    x = graph.node("Add", graph.node("Transpose", x, perm=[0, 2, 1]), graph.constant(places))
    width = places.shape[-1]
    for number in range(blocks.layers):
        x = blocks.attend(x, f"layer_{number}/self_attention", width)
        x = blocks.feed(x, f"layer_{number}/ffn")
    gamma, beta = (graph.constant(blocks.weight(f"layer_norm/{part}")) for part in ("gamma", "beta"))
    graph.node("LayerNormalization", x, gamma, beta, results=("features",), epsilon=EPSILON)
    return graph.save(
        path, {"mel": ("float32", ["N", BANDS, frames])}, {"features": ("float32", ["N", frames // 2, width])}
    )


def decoder(weights: dict, length: int, frames: int, path: Path) -> Path:
    """Writes the decoder: tokens [N, length] and features [N, frames / 2, width] to states [N, length, width]; a state
    times the words' vectors scores what follows the token."""
    blocks = _Blocks(weights, "decoder")
    graph, words = blocks.graph, blocks.weight("embeddings/weight")
    width = words.shape[-1]
    places = graph.constant(blocks.weight("position_encodings/encodings")[None, :length])
    x = graph.node("Add", graph.node("Gather", graph.constant(words), "tokens"), places)
    later = graph.constant(np.triu(np.full((1, 1, length, length), -10000.0), 1))
    for number in range(blocks.layers):
        x = blocks.attend(x, f"layer_{number}/self_attention", width, bias=later)
        x = blocks.attend(x, f"layer_{number}/attention", width, over="features")
        x = blocks.feed(x, f"layer_{number}/ffn")
    gamma, beta = (graph.constant(blocks.weight(f"layer_norm/{part}")) for part in ("gamma", "beta"))
    graph.node("LayerNormalization", x, gamma, beta, results=("states",), epsilon=EPSILON)
    inputs = {"tokens": ("int64", ["N", length]), "features": ("float32", ["N", frames // 2, width])}
    return graph.save(path, inputs, {"states": ("float32", ["N", length, width])})


def mel(sound: np.ndarray, frames: int) -> np.ndarray:
    """Computes the logarithm of a sound's energy in bands, as Whisper scales it: float32 [1, 80, frames] of a sound at
    RATE."""
    padded = np.zeros(frames * HOP + WINDOW, "float32")
    padded[WINDOW // 2 :][: min(len(sound), frames * HOP)] = sound[: frames * HOP]
    pieces = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][:frames]
    window = np.hanning(WINDOW + 1)[:-1]
    energy = np.abs(np.fft.rfft(pieces * window)) ** 2
    bands = np.log10(np.maximum(_filters() @ energy.T, 1e-10))
    return ((np.maximum(bands, bands.max() - 8) + 4) / 4).astype("float32")[None]


def _filters():
    """Computes the bands' weights, [80, 201]: triangles of equal area, evenly spread on Slaney's scale, which is linear
    below 1 kHz and logarithmic above."""
    step = np.log(6.4) / 27
    top = 15 + np.log(RATE / 2 / 1000) / step
    marks = np.linspace(0, top, BANDS + 2)
    edges = np.where(marks < 15, marks * 200 / 3, 1000 * np.exp(step * (marks - 15)))
    places = np.linspace(0, RATE / 2, WINDOW // 2 + 1)
    rise = (places - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - places) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(rise, fall)) * (2 / (edges[2:] - edges[:-2]))[:, None]
