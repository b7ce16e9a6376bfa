"""One small network under any names: what its layers are called is nothing that an answer may depend on."""

import keyword
import random

import numpy as np
import onnx
from onnx import helper, numpy_helper

IMAGE = (1, 8, 6, 6)
_ALIKE = (
    "a.0",
    "a_0",
    "a/0",
    "a-0",
    "a 0",
    "a:0",
    "a#2",
    "a",
    "a#2#2",
)  # They are one name to whoever keeps letters and digits, or strips what is behind.
_STRANGE = (
    "é中Ω",
    "x" * 300,
    "x" * 299 + "y",
    "a, b",
    "(a)",
    "results",
    "gv",
    "lv",
    "main",
    "octet.observe",
    "0",
    " ",
    "\"'",
    "a__",
    "layer0__",
    "output",
    "a.observed",
    "a.quantize",
)


def distinct(kind, key):
    """Names that nobody could take for each other."""
    return f"{kind}{key}"


def equal_nodes(kind, key):
    """Every node has one name, values in bodies too."""
    return {"node": "conv", "inner": "made"}.get(kind, f"{kind}{key}")


def unnamed(kind, key):
    """No node has a name, and values look alike where letters and digits are kept."""
    return "" if kind == "node" else f"{kind}{'./_-'[key % 4]}{key // 4}"


def at_random(seed):
    """Names drawn from all that is strange. Values of one scope differ, as ONNX wants it; those of different bodies
    need not."""
    random_names, given, used = random.Random(seed), {}, set()
    pool = [*_ALIKE, *_STRANGE, *keyword.kwlist, ""]

    def name(kind, key):
        key = random_names.randrange(2) if kind == "inner" else key
        if (kind, key) not in given:
            drawn = random_names.choice(pool)
            while kind != "node" and (not drawn or drawn in used):
                drawn = random_names.choice(pool) + random_names.choice("._/") * random_names.randrange(3)
            used.update([drawn] if kind != "node" else [])
            given[kind, key] = drawn
        return given[kind, key]

    return name


def network(name) -> onnx.ModelProto:
    """name(kind, key) -> str; kind: "node", "value" (an initializer, or a tensor of the outer graph), "inner" (of a
    body), "input" or "output"."""
    random_state, nodes, constants, count = np.random.default_rng(0), [], [], iter(range(1000))

    def constant(*shape, scale=1.0):
        constants.append(
            numpy_helper.from_array(
                (random_state.standard_normal(shape) * scale).astype(np.float32), name("value", next(count))
            )
        )
        return constants[-1].name

    def node(op, *inputs, results=1, **attributes):
        made = [name("value", next(count)) for _ in range(results)]
        nodes.append(helper.make_node(op, inputs, made, name=name("node", len(nodes)), **attributes))
        return made if results > 1 else made[0]

    def body(nodes_of):
        inner = name("inner", next(count))
        return helper.make_graph(nodes_of(inner), "body", [], [onnx.ValueInfoProto(name=inner)])

    def chosen(x, scale):
        """A convolution in the branch of a constant If."""
        weight = constant(8, 8, 1, 1, scale=scale)
        taken = body(
            lambda inner: [helper.make_node("Conv", [x, weight], [inner], name=name("node", 100 + len(nodes)))]
        )
        other = body(lambda inner: [helper.make_node("Identity", [x], [inner], name=name("node", 200 + len(nodes)))])
        return node("If", yes, then_branch=taken, else_branch=other)

    x = name("input", 0)
    constants.append(numpy_helper.from_array(np.array(True), name("value", next(count))))
    yes = constants[0].name
    x1 = chosen(chosen(x, 1.0), 100.0)
    x2 = node("BatchNormalization", x1, constant(8), constant(8), constant(8), node("Abs", constant(8)))
    x3 = node("Conv", node("Softmax", x2, axis=1), constant(8, 1, 3, 3), constant(8), group=8, pads=[1] * 4)
    x4 = node("Conv", node("Softmax", x3, axis=1), constant(8, 1, 3, 3), constant(8), group=8, pads=[1] * 4)
    left, right = node("Split", node("Mul", x4, node("Sigmoid", x4)), results=2, axis=1)
    x5 = node("Add", node("Concat", right, left, axis=1), x4)
    x6 = node("Flatten", node("GlobalAveragePool", node("Conv", x5, constant(16, 8, 3, 3))))
    x7 = node("Gemm", x6, constant(16, 4), constant(4))
    outputs = [name("output", 0), name("output", 1)]
    nodes.append(helper.make_node("Relu", [x7], outputs[:1], name=name("node", len(nodes))))
    nodes.append(helper.make_node("Softmax", [x7], outputs[1:], name=name("node", len(nodes))))
    infos = [helper.make_tensor_value_info(value, onnx.TensorProto.FLOAT, (1, 4)) for value in outputs]
    graph = helper.make_graph(
        nodes, "renamed", [helper.make_tensor_value_info(x, onnx.TensorProto.FLOAT, IMAGE)], infos, constants
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def samples(count: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((count, *IMAGE[1:])).astype(np.float32)
