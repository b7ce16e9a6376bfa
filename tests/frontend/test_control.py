"""If, Loop, Scan and sequences against ONNX's reference implementation."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from tvm.ir import Op

from octet.targets.errors import UnsupportedModelError

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def rand(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def node(operator, inputs=("x",), outputs=("y",), **attributes):
    return helper.make_node(operator, list(inputs), list(outputs), name=f"the_{operator.lower()}", **attributes)


def body(nodes, inputs, outputs, constants=()):
    """inputs, outputs: {name: (type, shape)}."""
    infos = [
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in values.items()]
        for values in (inputs, outputs)
    ]
    return helper.make_graph(
        nodes, "body", *infos, [numpy_helper.from_array(value, name) for name, value in dict(constants).items()]
    )


X = {"x": rand(2, 5)}
VALUE = (FLOAT, [2, 5])


def counting(nodes, results, going=None):
    """A loop's body: state `s` and trip `i`; `going` is a node that makes the condition, else it stays true."""
    keep = going or node("Identity", ["c"], ["on"])
    return body(
        [*nodes, keep],
        {"i": (INT64, []), "c": (BOOL, []), "s": VALUE},
        {"on": (BOOL, []), **results},
        {"w": rand(5, 5), "two": np.array(2)},
    )


STEP = [node("MatMul", ["s", "w"], ["p"]), node("Tanh", ["p"], ["t"])]


def test_a_loop_of_fixed_length(model, agrees):
    loop = counting([*STEP, node("Relu", ["p"], ["r"])], {"t": VALUE, "r": VALUE})
    proto = model(
        [node("Loop", ["n", "yes", "x"], ["y", "all"], body=loop)],
        X,
        {"n": np.array(4), "yes": np.array(True)},
        outputs=("y", "all"),
    )
    s, w, kept = X["x"], rand(5, 5), []
    for _ in range(4):
        kept, s = [*kept, np.maximum(s @ w, 0)], np.tanh(s @ w)
    found = agrees(
        proto, X, [s, np.stack(kept)]
    )  # What the standard and ONNX Runtime stack, onnx.reference concatenates.
    products = [
        binding.value
        for binding in found.module["main"].body.blocks[0].bindings
        if getattr(binding.value, "op", None) == Op.get("relax.matmul")
    ]
    assert len(products) == 4 and all(
        product.args[1].same_as(products[0].args[1]) for product in products
    )  # There is one set of weights.


def test_a_loop_ends_where_its_condition_does(model, agrees):
    loop = counting([*STEP], {"t": VALUE}, node("Less", ["i", "two"], ["on"]))
    agrees(model([node("Loop", ["", "yes", "x"], ["y"], body=loop)], X, {"yes": np.array(True)}), X)


def test_a_loop_that_may_not_end(model, load):
    loop = counting(STEP, {"t": VALUE})
    with pytest.raises(UnsupportedModelError, match="the_loop.*more than 1000 times"):
        load(model([node("Loop", ["", "", "x"], ["y"], body=loop)], X))


def test_a_loop_of_unknown_length(model, load):
    loop, inputs = counting(STEP, {"t": VALUE}), X | {"n": np.array(3)}
    said = "the_loop.*known only at run time, computed from 'n'; add --fix n=VALUE, or export it with a fixed number"
    with pytest.raises(UnsupportedModelError, match=said):
        load(model([node("Loop", ["n", "", "x"], ["y"], body=loop)], inputs))


def test_an_error_in_a_body_names_the_inner_node(model, load):
    loop = counting([node("Unique", ["s"], ["t"])], {"t": VALUE})
    with pytest.raises(UnsupportedModelError) as error:
        load(model([node("Loop", ["n", "", "x"], ["y"], body=loop)], X, {"n": np.array(2)}))
    assert "the_unique" in str(error.value) and "the_loop" not in str(error.value)


@pytest.mark.parametrize("axis, reverse", [(0, 0), (1, 1)])
def test_a_scan(model, agrees, axis, reverse):
    step = body(
        [node("Add", ["s", "e"], ["t"]), node("Relu", ["t"], ["r"])],
        {"s": (FLOAT, [3]), "e": (FLOAT, [3])},
        {"t": (FLOAT, [3]), "r": (FLOAT, [3])},
    )
    x = rand(4, 3) if axis == 0 else rand(3, 4)
    scan = node(
        "Scan",
        ["z", "x"],
        ["y", "all"],
        body=step,
        num_scan_inputs=1,
        scan_input_axes=[axis],
        scan_input_directions=[reverse],
        scan_output_axes=[axis],
    )
    order = list(range(4))[::-1] if reverse else list(range(4))
    sums = np.cumsum(np.take(x, order, axis), axis)
    want = [np.take(sums, -1, axis), np.maximum(sums, 0)]
    agrees(model([scan], {"x": x}, {"z": np.zeros(3, "float32")}, outputs=("y", "all")), {"x": x}, want)


BRANCHES = {
    "then_branch": body([node("Tanh", ["x"], ["a"])], {}, {"a": VALUE}),
    "else_branch": body([node("Neg", ["x"], ["b"])], {}, {"b": VALUE}),
}


@pytest.mark.parametrize("rate", [16000, 8000])
def test_a_branch_at_run_time(model, agrees, rate):
    inputs = X | {"rate": np.array(rate)}
    proto = model(
        [node("Equal", ["rate", "k"], ["c"]), node("If", ["c"], ["y"], **BRANCHES)], inputs, {"k": np.array(16000)}
    )
    agrees(proto, inputs)


def test_results_of_branches_may_leave_their_types_out(model, agrees):
    inputs = X | {"rate": np.array(8000)}
    proto = model(
        [node("Equal", ["rate", "k"], ["c"]), node("If", ["c"], ["y"], **BRANCHES)], inputs, {"k": np.array(16000)}
    )
    for attribute in proto.graph.node[1].attribute:
        attribute.g.output[0].ClearField("type")
        attribute.g.output[0].type.SetInParent()
    agrees(proto, inputs)


def test_a_branch_that_a_fixed_input_decides(model, load):
    inputs = X | {"rate": np.array(8000)}
    proto = model(
        [node("Equal", ["rate", "k"], ["c"]), node("If", ["c"], ["y"], **BRANCHES)], inputs, {"k": np.array(16000)}
    )
    text = str(load(proto, values={"rate": 16000}).module)
    assert "tanh" in text and "negative" not in text


def test_branches_of_different_shapes(model, load):
    other = body([node("ReduceMean", ["x"], ["b"])], {}, {"b": (FLOAT, [1, 1])})
    inputs = X | {"c": np.array(True)}
    branches = {"then_branch": BRANCHES["then_branch"], "else_branch": other}
    said = (
        "results of different shapes, by a value that is known only at run time, computed from 'c'; add --fix c=VALUE"
    )
    with pytest.raises(UnsupportedModelError, match=said):
        load(model([node("If", ["c"], ["y"], **branches)], inputs))
    nodes = [node("ReduceMax", ["x"], ["m"], keepdims=0), node("Greater", ["m", "k"], ["c"])]
    with pytest.raises(UnsupportedModelError, match="at run time, computed from 'x'; export it with the branch"):
        load(model([*nodes, node("If", ["c"], ["y"], **branches)], X, {"k": np.float32(0)}))


def test_a_condition_that_depends_on_shapes(model, agrees):
    nodes = [
        node("Shape", ["x"], ["n"]),
        node("ReduceProd", ["n"], ["m"], keepdims=0),
        node("Equal", ["m", "k"], ["c"]),
        node("If", ["c"], ["y"], **BRANCHES),
    ]
    agrees(model(nodes, X, {"k": np.array(10)}), X)


def test_sequences(model, agrees):
    nodes = [
        node("SplitToSequence", ["x", "sizes"], ["parts"], axis=1),
        node("SequenceLength", ["parts"], ["n"]),
        node("SequenceAt", ["parts", "last"], ["b"]),
        node("SequenceConstruct", ["b", "x"], ["s"]),
        node("SequenceInsert", ["s", "b", "zero"], ["t"]),
        node("SequenceErase", ["t", "one"], ["u"]),
        node("ConcatFromSequence", ["u"], ["y"], axis=1),
    ]
    proto = model(nodes, X, {"sizes": np.array([2, 3]), "last": np.array(-1), "zero": np.array(0), "one": np.array(1)})
    agrees(proto, X)


def test_a_loop_that_fills_a_sequence(model, agrees):
    nodes = [
        node("Gather", ["x", "i"], ["row"], axis=0),
        node("Relu", ["row"], ["r"]),
        node("SequenceInsert", ["s", "r"], ["t"]),
        node("Identity", ["c"], ["on"]),
    ]
    sequence = [helper.make_tensor_sequence_value_info(name, FLOAT, None) for name in "st"]
    inner = body(nodes, {"i": (INT64, []), "c": (BOOL, [])}, {"on": (BOOL, [])})
    inner.input.append(sequence[0])
    inner.output.append(sequence[1])
    nodes = [
        node("SequenceEmpty", [], ["empty"]),
        node("Loop", ["trips", "", "empty"], ["rows"], body=inner),
        node("ConcatFromSequence", ["rows"], ["y"], axis=1, new_axis=1),
    ]
    agrees(model(nodes, X, {"trips": np.array(2)}), X, [np.maximum(X["x"], 0).T])


def test_elements_one_by_one(model, agrees):
    nodes = [
        node("SplitToSequence", ["x"], ["parts"], axis=0, keepdims=0),
        node("ConcatFromSequence", ["parts"], ["y"], axis=1, new_axis=1),
    ]
    agrees(model(nodes, X), X)
