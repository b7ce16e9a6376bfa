"""Names on import: every variable has its own, whatever the exporter wrote, and the values of a body are nobody
else's."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from octet.passes.frontend.scopes import Scopes
from octet.passes.pipeline import canonicalize
from octet.passes.rewriting.identities import Identities

IMAGE = {"x": np.random.default_rng(9).standard_normal((1, 2, 4, 4)).astype(np.float32)}


def weight(seed):
    return np.random.default_rng(seed).standard_normal((2, 2, 1, 1)).astype(np.float32) * 10.0**seed


def names_of(module):
    main = module["main"]
    return [
        *(param.name for param in main.params),
        *(binding.var.name for block in main.body.blocks for binding in block.bindings),
    ]


def branch(initializers, nodes, result):
    return helper.make_graph(
        nodes,
        "branch",
        [],
        [onnx.ValueInfoProto(name=result)],
        [numpy_helper.from_array(a, n) for n, a in initializers.items()],
    )


def test_a_name_is_given_once():
    identities = Identities(["x"])
    assert [identities.unique(name) for name in ("x", "a", "a", "a#2", "a", "a.b", "a_b")] == [
        "x#2",
        "a",
        "a#2",
        "a#2#2",
        "a#3",
        "a.b",
        "a_b",
    ]


def test_a_body_sees_what_is_around_it_and_is_not_seen():
    scopes = Scopes()
    scopes["a"] = 1
    with scopes.body():
        assert scopes["a"] == 1 and "b" not in scopes
        scopes["a"], scopes["b"] = 2, 3
        assert scopes["a"] == 2
    assert scopes["a"] == 1 and "b" not in scopes


def test_nodes_of_one_name_and_of_none(model, load):
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="conv"),
        helper.make_node("Conv", ["a", "w"], ["b"], name="conv"),
        helper.make_node("Relu", ["b"], ["x.relu"], name=""),
        helper.make_node("Sigmoid", ["x.relu"], ["y"], name="x"),
    ]
    loaded = load(model(nodes, IMAGE, {"w": weight(0)}))
    assert names_of(loaded.module)[:5] == ["x", "conv", "conv#2", "x.relu", "x#2"], (
        "a parameter keeps its name, the first of a name too"
    )
    assert len(set(names_of(loaded.module))) == len(names_of(loaded.module))


def test_names_are_text_on_one_line(model, load):
    """What files and terminals take: no control characters, none that turn or hide text, no more than files bound."""
    hostile = ["a\nb", "\x1b[31mred\r", "\u202egnp\u200b", "n" * 5000, "n" * 5001, "\u5c42 1", ""]
    nodes = [helper.make_node("Sin", [f"v{i}"], [f"v{i + 1}"], name=name) for i, name in enumerate(hostile)]
    nodes[0].input[0], nodes[-1].output[0] = "x", "y"
    found = names_of(load(model(nodes, IMAGE)).module)
    assert (
        found[1:4] == ["a\\nb", "\\x1b[31mred\\r", "\\u202egnp\\u200b"]
        and "\u5c42 1" in found
        and len(set(found)) == len(found)
    )
    assert all(name.isprintable() and len(name) < 600 for name in found)


def test_what_passes_derive_is_nobody_elses_name(model, load):
    """A batch normalisation becomes a product and a sum that are called after it, as two nodes of the network are
    called already."""
    parameters = {name: np.full(2, value, np.float32) for name, value in {"s": 2, "b": 1, "m": 0.5, "v": 4}.items()}
    nodes = [
        helper.make_node("Sin", ["x"], ["p"], name="norm.multiply"),
        helper.make_node("BatchNormalization", ["p", "s", "b", "m", "v"], ["q"], name="norm"),
        helper.make_node("Cos", ["q"], ["y"], name="norm.add"),
    ]
    names = names_of(canonicalize(load(model(nodes, IMAGE, parameters))).module)
    assert len(set(names)) == len(names) and {"norm.multiply", "norm", "norm.add"} <= set(names)


def test_branches_with_equal_names_keep_their_values(model, load, agrees):
    nodes, value = [], "x"
    for number in range(3):
        taken = branch({"w": weight(number)}, [helper.make_node("Conv", [value, "w"], ["made"], name="conv")], "made")
        other = branch({}, [helper.make_node("Identity", [value], ["made"], name="conv")], "made")
        nodes.append(helper.make_node("If", ["yes"], [f"r{number}"], name="if", then_branch=taken, else_branch=other))
        value = f"r{number}"
    nodes.append(helper.make_node("Relu", [value], ["y"]))
    agrees(model(nodes, IMAGE, {"yes": np.array(True)}), IMAGE)


def test_a_body_does_not_change_the_values_around_it(model, load, agrees):
    """The body computes a value that is called as one outside, which is used again behind it."""
    taken = branch({"k": weight(1)}, [helper.make_node("Conv", ["x", "k"], ["inner"])], "inner")
    nodes = [
        helper.make_node("If", ["yes"], ["r"], then_branch=taken, else_branch=taken),
        helper.make_node("Conv", ["r", "w"], ["inner"]),
        helper.make_node("Add", ["inner", "r"], ["y"]),
    ]
    agrees(model(nodes, IMAGE, {"yes": np.array(True), "w": weight(0)}), IMAGE)
