"""A small network of language with a symbolic length: embeddings of tokens and positions, one attention behind a mask,
a layer, and a decision."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TOKENS, WIDTH, HEADS, CLASSES, LONGEST = 24, 32, 2, 5, 64
_FAR = np.float32(-10000)


def write(path: Path, masked: bool = True, mean: bool = False, seed: int = 0) -> Path:
    """ids, mask int64 [batch, sequence] -> logits [batch, CLASSES] and states [batch, sequence, WIDTH]. masked: whether
    attention heeds the mask. mean: whether the decision is of the mean over all positions, padding included, and not of
    the first one. Returns the path."""
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return rng.standard_normal(shape).astype(np.float32) / np.float32(np.sqrt(shape[0]))

    constants = {
        "tokens": normal(TOKENS, WIDTH) * 4,
        "positions": normal(LONGEST, WIDTH),
        "one": np.array([1]),
        "zero": np.array([0]),
        "axes": np.array([1, 2]),
        "unit": np.float32(1),
        "far": _FAR,
        "split": np.array([0, -1, HEADS, WIDTH // HEADS]),
        "join": np.array([0, -1, WIDTH]),
        "size": np.float32(np.sqrt(WIDTH // HEADS)),
        "gamma": np.ones(WIDTH, np.float32),
        "beta": np.zeros(WIDTH, np.float32),
        "up": normal(WIDTH, 2 * WIDTH),
        "bias": 0.1 * normal(2 * WIDTH),
        "down": normal(2 * WIDTH, WIDTH),
        "head": normal(WIDTH, CLASSES),
        **{f"w{name}": normal(WIDTH, WIDTH) for name in "qkvo"},
    }
    node = helper.make_node
    nodes = [
        node("Gather", ["tokens", "ids"], ["embedded"]),
        node("Shape", ["ids"], ["extents"]),
        node("Gather", ["extents", "one"], ["length"], axis=0),
        node("Slice", ["positions", "zero", "length", "zero"], ["here"]),
        node("Add", ["embedded", "here"], ["x0"]),
        node("LayerNormalization", ["x0", "gamma", "beta"], ["x"]),
        node("Unsqueeze", ["mask", "axes"], ["m0"]),
        node("Cast", ["m0"], ["m1"], to=TensorProto.FLOAT),
        node("Sub", ["unit", "m1"], ["m2"]),
        node("Mul", ["m2", "far"], ["m3"]),
    ]
    for name in "qkv":
        nodes += [
            node("MatMul", ["x", f"w{name}"], [f"{name}0"]),
            node("Reshape", [f"{name}0", "split"], [f"{name}1"]),
            node("Transpose", [f"{name}1"], [name], perm=[0, 2, 3, 1] if name == "k" else [0, 2, 1, 3]),
        ]
    nodes += [
        node("MatMul", ["q", "k"], ["s0"]),
        node("Div", ["s0", "size"], ["s1"]),
        *([node("Add", ["s1", "m3"], ["s2"])] if masked else []),
        node("Softmax", ["s2" if masked else "s1"], ["p"], axis=-1),
        node("MatMul", ["p", "v"], ["a0"]),
        node("Transpose", ["a0"], ["a1"], perm=[0, 2, 1, 3]),
        node("Reshape", ["a1", "join"], ["a2"]),
        node("MatMul", ["a2", "wo"], ["a3"]),
        node("Add", ["x", "a3"], ["a4"]),
        node("LayerNormalization", ["a4", "gamma", "beta"], ["y"]),
        node("MatMul", ["y", "up"], ["u0"]),
        node("Add", ["u0", "bias"], ["u1"]),
        node("Relu", ["u1"], ["u2"]),
        node("MatMul", ["u2", "down"], ["d"]),
        node("Add", ["y", "d"], ["states"]),
        *(
            [node("ReduceMean", ["states"], ["first"], axes=[1], keepdims=0)]
            if mean
            else [node("Gather", ["states", "first0"], ["first"], axis=1)]
        ),
        node("MatMul", ["first", "head"], ["logits"]),
    ]
    constants["first0"] = np.int64(0)
    if not masked:
        nodes = [one for one in nodes if one.output[0] not in ("m0", "m1", "m2", "m3")]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
        for name in ("ids", "mask")[: 1 + masked]
    ]
    outputs = [
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES]),
        helper.make_tensor_value_info("states", TensorProto.FLOAT, ["batch", "sequence", WIDTH]),
    ]
    graph = helper.make_graph(
        nodes,
        "language",
        inputs,
        outputs,
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def samples(
    count: int, length: int, seed: int = 1, shortest: int | None = None, masked: bool = True
) -> dict[str, np.ndarray]:
    """Tokens (0 is padding) of `shortest` [default: length] to `length` words each, and the mask of the words."""
    rng = np.random.default_rng(seed)
    words = rng.integers(length if shortest is None else shortest, length + 1, count)
    mask = (np.arange(length) < words[:, None]).astype(np.int64)
    return {"ids": rng.integers(1, TOKENS, (count, length)) * mask} | ({"mask": mask} if masked else {})
