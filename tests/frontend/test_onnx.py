"""load_onnx: the signature, the batch, shapes computed in the graph, names."""

import hashlib

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from tvm import relax

from octet.passes.frontend.onnx import load_onnx
from octet.passes.frontend.read import bytes_with_data
from octet.passes.pipeline import canonicalize
from octet.targets.errors import UnsupportedModelError


def rand(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def network(model, shape=("N", 3, 8, 8), opset=17):
    nodes = [
        helper.make_node("Conv", ["image", "w", "b"], ["c"], name="/stem/stem.0/Conv"),
        helper.make_node("Relu", ["c"], ["y"], name="/stem/Relu"),
    ]
    return model(
        nodes, {"image": rand(1, 3, 8, 8)}, {"w": rand(4, 3, 3, 3), "b": rand(4)}, opset, shapes={"image": shape}
    )


def test_signature(model, load, tmp_path):
    loaded = load(network(model))
    assert [(s.name, s.shape, s.dtype) for s in loaded.inputs] == [("image", (1, 3, 8, 8), "float32")]
    assert [(s.name, s.shape, s.dtype) for s in loaded.outputs] == [("y", (1, 4, 6, 6), "float32")]
    assert loaded.name == "model" and loaded.batch == 1
    assert loaded.sha256 == hashlib.sha256((tmp_path / "model.onnx").read_bytes()).hexdigest()
    assert [p.name for p in loaded.module["main"].params] == ["image"]
    assert isinstance(loaded.module["main"].ret_ty, relax.TupleType)


def test_a_symbolic_batch_is_fixed_on_request(model, load):
    assert load(network(model), batch=5).outputs[0].shape == (5, 4, 6, 6)
    assert load(network(model, (0, 3, 8, 8)), batch=2).batch == 2


def test_a_fixed_batch_cannot_be_changed(model, load):
    assert load(network(model, (4, 3, 8, 8)), batch=4).batch == 4
    with pytest.raises(UnsupportedModelError, match="'image' has the fixed batch 4, not 3"):
        load(network(model, (4, 3, 8, 8)), batch=3)


def test_variables_are_named_after_nodes(model, load):
    canonical = canonicalize(load(network(model)))
    assert [b.var.name for b in canonical.module["main"].body.blocks[0].bindings][:3] == [
        "/stem/stem.0/Conv",
        "/stem/stem.0/Conv.bias",
        "/stem/Relu",
    ]


def test_shapes_computed_in_the_graph_become_constants(agrees, model):
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["batch"], axis=0),
        helper.make_node("Unsqueeze", ["batch", "axis"], ["batch1"]),
        helper.make_node("Concat", ["batch1", "rest"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["y"]),
    ]
    inputs = {"x": rand(2, 3, 4)}
    constants = {"zero": np.array(0), "axis": np.array([0]), "rest": np.array([-1])}
    canonical = agrees(
        model(nodes, inputs, constants, shapes={"x": ("N", 3, 4)}), {"x": rand(1, 3, 4)}, [rand(1, 3, 4).reshape(1, 12)]
    )
    assert [b.value.op.name for b in canonical.module["main"].body.blocks[0].bindings[:-1]] == ["relax.reshape"]


def test_initializers_that_are_listed_as_inputs_are_weights(model, load):
    proto = network(model)
    proto.graph.input.append(helper.make_tensor_value_info("w", onnx.TensorProto.FLOAT, (4, 3, 3, 3)))
    assert [spec.name for spec in load(proto).inputs] == ["image"]


def test_constant_nodes(agrees, model):
    nodes = [
        helper.make_node("Constant", [], ["c"], value_floats=[1.0, 2.0, 3.0]),
        helper.make_node("Add", ["x", "c"], ["y"]),
    ]
    inputs = {"x": rand(2, 3)}
    agrees(model(nodes, inputs), inputs)


def test_a_branch_on_a_known_value_is_taken(agrees, model):
    def branch(operator):
        return helper.make_graph(
            [helper.make_node(operator, ["x"], ["z"])], operator, [], [helper.make_tensor_value_info("z", 1, [2, 3])]
        )

    nodes = [helper.make_node("If", ["flag"], ["y"], then_branch=branch("Neg"), else_branch=branch("Abs"))]
    inputs = {"x": rand(2, 3)}
    agrees(model(nodes, inputs, {"flag": np.array(False)}), inputs, [np.abs(inputs["x"])])


def test_functions_of_the_file_are_inlined(agrees, model):
    proto = model([helper.make_node("Twice", ["x"], ["y"], domain="local")], {"x": rand(2, 3)})
    opset = [helper.make_opsetid("", 17)]
    proto.functions.append(
        helper.make_function("local", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], opset)
    )
    proto.opset_import.append(helper.make_opsetid("local", 1))
    agrees(proto, {"x": rand(2, 3)}, [2 * rand(2, 3)])


@pytest.mark.parametrize("said", [{}, {"slope": 0.25}], ids=["left out", "said"])
def test_attributes_of_functions_have_their_defaults(agrees, model, said):
    """Inside another function as well."""
    leaky, opset = (
        helper.make_node("LeakyRelu", ["a"], ["b"]),
        [helper.make_opsetid(name, 17) for name in ("", "local")],
    )
    leaky.attribute.append(onnx.AttributeProto(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT))
    calls = [helper.make_node("Leak", ["a"], ["b"], domain="local", **said)]
    proto = model([helper.make_node("Outer", ["x"], ["y"], domain="local")], {"x": rand(2, 3)})
    slope = [helper.make_attribute("slope", 0.7)]
    proto.functions.append(helper.make_function("local", "Leak", ["a"], ["b"], [leaky], opset, [], slope))
    proto.functions.append(helper.make_function("local", "Outer", ["a"], ["b"], calls, opset))
    proto.opset_import.append(helper.make_opsetid("local", 17))
    x, slope = rand(2, 3), np.float32(said.get("slope", 0.7))
    agrees(proto, {"x": x}, [np.where(x < 0, x * slope, x)])


def test_an_output_without_a_type_gets_the_one_it_has(agrees, model):
    proto = model([helper.make_node("Neg", ["x"], ["y"])], {"x": rand(2, 3)})
    proto.graph.output[0].ClearField("type")
    agrees(proto, {"x": rand(2, 3)}, [-rand(2, 3)])


def test_an_input_of_another_width_is_said(agrees, model):
    proto = model([helper.make_node("Neg", ["x"], ["y"])], {"x": rand(2, 3).astype("float64")})
    notes = agrees(proto, {"x": rand(2, 3)}, [-rand(2, 3)]).notes
    assert "computed in float32 where the file says float64" in notes


def test_external_data(model, load, tmp_path):
    proto = network(model)
    weight = numpy_helper.to_array(proto.graph.initializer[0]).copy()
    onnx.save(proto, tmp_path / "big.onnx", save_as_external_data=True, location="big.bin", size_threshold=0)
    first = load_onnx(tmp_path / "big.onnx")
    np.testing.assert_array_equal(first.module["main"].body.blocks[0].bindings[0].value.args[1].value.numpy(), weight)
    data = bytearray((tmp_path / "big.bin").read_bytes())
    size = (tmp_path / "big.onnx").stat().st_size + len(data)
    assert bytes_with_data(tmp_path / "big.onnx") == size == load_onnx(tmp_path / "big.onnx").file_bytes
    data[0] ^= 1
    (tmp_path / "big.bin").write_bytes(data)
    assert load_onnx(tmp_path / "big.onnx").sha256 != first.sha256


def test_integer_inputs_and_negative_indices(agrees, model):
    nodes = [helper.make_node("Gather", ["table", "ids"], ["y"])]
    inputs = {"ids": np.array([[0, -1, 3]])}
    agrees(model(nodes, inputs, {"table": rand(5, 4)}), inputs)


def test_an_output_may_be_an_input_or_a_constant(agrees, model):
    inputs = {"x": rand(2, 3)}
    nodes = [helper.make_node("Identity", ["x"], ["y"]), helper.make_node("Identity", ["c"], ["z"])]
    agrees(model(nodes, inputs, {"c": rand(4)}, outputs=("y", "z")), inputs)


def test_a_refusal_names_operators_as_people_do(model, load):
    """TVM's own message spells out all that it knows of the operator."""
    values = {name: np.ones(3, "float32") for name in "abcd"}
    with pytest.raises(UnsupportedModelError, match=r"cannot be imported: relax\.nn\.batch_norm requires") as refused:
        load(
            model(
                [helper.make_node("BatchNormalization", ["x", *"abcd"], ["y"])],
                {"x": np.ones((1, 4), "float32")},
                values,
            )
        )
    assert "ir.Op" not in str(refused.value)
