"""The catalogue of wrong_models.py, with attributes of operators and graphs."""

import numpy as np
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from .wrong_models import WRONG, wrong

__all__ = ["WRONG"]


# Attributes of operators.
def _attribute(index, **attributes):
    def change(model, folder):
        node = model.graph.node[index]
        kept = [attribute for attribute in node.attribute if attribute.name not in attributes]
        del node.attribute[:]
        node.attribute.extend([*kept, *(helper.make_attribute(name, value) for name, value in attributes.items())])

    return change


for _name, _bad in {
    "pads": [[-1] * 4, [1, 1, 1], [1] * 8, [1 << 40] * 4, [-9, 0, 0, 0]],
    "strides": [[0, 0], [-1, 1], [1], [1, 1, 1], [1 << 40, 1]],
    "dilations": [[0, 1], [-1, -1], [1], [1 << 20, 1]],
    "kernel_shape": [[0, 0], [3], [5, 5], [-3, 3], [3, 3, 3]],
    "group": [0, -1, 2, 1 << 40],
    "auto_pad": ["SIDEWAYS"],
}.items():
    for _value in _bad:
        WRONG[f"Conv with {_name} {_value!r}"] = _attribute(0, **{_name: _value})
for _value in (5, 99, -5, -99, 1 << 40):
    WRONG[f"Flatten with axis {_value}"] = _attribute(3, axis=_value)
WRONG["Conv with pads of floats"] = _attribute(0, pads=[1.5, 1.5, 1.5, 1.5])
WRONG["Conv with strides that are a text"] = _attribute(0, strides="two")
WRONG["Conv with an attribute that it has not"] = _attribute(0, colour=3)


def _before_last(operator, outputs=("more",), **attributes):
    """The operator on the features, in front of Flatten."""

    def change(model, folder):
        model.graph.node.insert(2, helper.make_node(operator, ["act"], list(outputs), name="more", **attributes))
        model.graph.node[3].input[0] = outputs[0]

    return change


for _operator, _sets in {
    "MaxPool": [
        {"kernel_shape": [0, 0]},
        {"kernel_shape": [-2, 2]},
        {"kernel_shape": [2]},
        {"kernel_shape": [2, 2], "strides": [0, 1]},
        {"kernel_shape": [2, 2], "pads": [-1] * 4},
        {"kernel_shape": [99, 99]},
        {},
    ],
    "AveragePool": [
        {"kernel_shape": [0, 2]},
        {"kernel_shape": [99, 99]},
        {"kernel_shape": [2, 2], "pads": [5] * 4},
        {"kernel_shape": [1, 3], "pads": [0, 0, 1, 0]},
    ],
    "Softmax": [{"axis": 99}, {"axis": -9}],
    "Transpose": [{"perm": [0, 1, 2]}, {"perm": [0, 1, 2, 2]}, {"perm": [0, 1, 2, 9]}],
    "Concat": [{"axis": 99}, {}],
    "LogSoftmax": [{"axis": 99}],
    "Split": [{"axis": 99, "num_outputs": 1}],
    "DepthToSpace": [{"blocksize": 0}, {"blocksize": -2}, {"blocksize": 3}],
    "SpaceToDepth": [{"blocksize": 0}, {"blocksize": 3}],
    "ReduceMean": [{"axes": [99]}, {"axes": [-99]}],
    "ArgMax": [{"axis": 99}],
    "Cast": [{"to": 999}, {"to": 0}, {}],
    "Gemm": [{}],
}.items():
    for _one in _sets:
        WRONG[f"{_operator} with {_one}"] = _before_last(_operator, **_one)


for _value in (float("nan"), float("inf")):
    WRONG[f"LeakyRelu with alpha {_value}"] = _before_last("LeakyRelu", alpha=_value)


def _with_operand(operator, operand, outputs=("more",), **attributes):
    """The operator on the activations, with a constant as its second operand."""

    def change(model, folder):
        model.graph.initializer.append(numpy_helper.from_array(operand, "operand"))
        model.graph.node.insert(
            2, helper.make_node(operator, ["act", "operand"], list(outputs), name="more", **attributes)
        )
        model.graph.node[3].input[0] = outputs[0]

    return change


WRONG["PRelu with five slopes"] = _with_operand("PRelu", np.ones(5, np.float32))
WRONG["Split into less than nothing"] = _with_operand("Split", np.array([-1, 99]), ("more", "rest"), axis=1)
WRONG["CumSum along axis 9"] = _with_operand("CumSum", np.array(9))
WRONG["LayerNormalization from axis 9"] = _with_operand("LayerNormalization", np.ones(1, np.float32), axis=9)


@wrong
def functions_that_double_forty_times(model, folder):
    """Written out they are 2^40 nodes."""
    for number in range(40):
        body = (
            [helper.make_node(f"F{number - 1}", [a], [b], domain="own") for a, b in (("x", "t"), ("t", "y"))]
            if number
            else [helper.make_node("Relu", ["x"], ["y"])]
        )
        model.functions.append(
            helper.make_function(
                "own", f"F{number}", ["x"], ["y"], body, [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
            )
        )
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.graph.node[1].op_type, model.graph.node[1].domain = "F39", "own"


def _reshaped(values):
    def change(model, folder):
        model.graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), "shape"))
        model.graph.node[3].CopyFrom(helper.make_node("Reshape", ["pool", "shape"], ["scores"], name="the_flatten"))

    return change


for _value in ([1, 5], [-1, -1], [-2, 4], [1 << 62, 4], [0, 0, 0, 0, 0], [3, 3]):
    WRONG[f"Reshape to {_value}"] = _reshaped(_value)


@wrong
def expanded_to_2_to_the_62(model, folder):
    model.graph.initializer.append(numpy_helper.from_array(np.array([1 << 20, 4, 1 << 20, 1 << 20], np.int64), "shape"))
    model.graph.node.insert(3, helper.make_node("Expand", ["pool", "shape"], ["large"], name="the_expansion"))
    model.graph.node[4].input[0] = "large"


# Graphs.
@wrong
def duplicate_outputs(model, folder):
    model.graph.output.append(model.graph.output[0])


@wrong
def duplicate_inputs(model, folder):
    model.graph.input.append(model.graph.input[0])


@wrong
def duplicate_results(model, folder):
    model.graph.node.append(helper.make_node("Relu", ["conv"], ["act"], name="again"))


@wrong
def an_output_that_nothing_makes(model, folder):
    model.graph.output[0].name = "nothing"


@wrong
def an_input_that_nothing_makes(model, folder):
    model.graph.node[1].input[0] = "nothing"


@wrong
def an_output_without_a_name(model, folder):
    model.graph.output[0].name = ""


@wrong
def a_circle(model, folder):
    model.graph.node[0].input[0] = "act"


@wrong
def no_nodes(model, folder):
    del model.graph.node[:]


@wrong
def no_outputs(model, folder):
    del model.graph.output[:]


@wrong
def no_inputs(model, folder):
    del model.graph.input[:]


@wrong
def no_opset(model, folder):
    del model.opset_import[:]


@wrong
def a_newer_opset(model, folder):
    model.opset_import[0].version = 999


@wrong
def a_negative_opset(model, folder):
    model.opset_import[0].version = -1


@wrong
def an_input_that_is_a_sequence(model, folder):
    model.graph.input[0].type.CopyFrom(
        helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, [1]))
    )


@wrong
def an_input_without_a_type(model, folder):
    model.graph.input[0].ClearField("type")


@wrong
def too_few_inputs_of_a_node(model, folder):
    del model.graph.node[0].input[1:]


@wrong
def too_many_outputs_of_a_node(model, folder):
    model.graph.node[1].output.append("second")


@wrong
def an_operator_without_a_name(model, folder):
    model.graph.node[1].op_type = ""


@wrong
def graphs_within_graphs(model, folder):
    """Deeper than is looked at."""
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    node = helper.make_node("Identity", ["act"], ["deep"])
    for _ in range(12):
        inner = helper.make_graph([node], "inner", [], [helper.make_tensor_value_info("deep", TensorProto.FLOAT, None)])
        node = helper.make_node("If", ["yes"], ["deep"], then_branch=inner)
    model.graph.node.insert(2, node)


@wrong
def an_attribute_without_a_type(model, folder):
    model.graph.node[0].attribute.append(AttributeProto(name="group"))


@wrong
def a_function_that_calls_itself(model, folder):
    function = helper.make_function(
        "own",
        "Twice",
        ["x"],
        ["y"],
        [helper.make_node("Twice", ["x"], ["y"], domain="own")],
        [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)],
    )
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.graph.node[1].op_type, model.graph.node[1].domain = "Twice", "own"


for _value in ("a\nb", "a\x1b[31mb", "\u202egnp", "x" * 2000, "a\x00b"):
    WRONG[f"an output named {_value[:20]!a}"] = lambda model, folder, value=_value: (
        setattr(model.graph.output[0], "name", value),
        model.graph.node[-1].output.__setitem__(0, value),
    )
    WRONG[f"an input named {_value[:20]!a}"] = lambda model, folder, value=_value: (
        setattr(model.graph.input[0], "name", value),
        model.graph.node[0].input.__setitem__(0, value),
    )
