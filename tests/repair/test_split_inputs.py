"""Results of functions in two bytes: the same function in fp32, two tables and two products in int8, and far less error
where a few values are large."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tvm import relax

from octet.passes import ops
from octet.passes.annotate import Annotate, Recipe
from octet.passes.annotate.graph import Graph
from octet.passes.frontend.onnx import load_onnx
from octet.passes.pipeline import canonicalize
from octet.passes.referee import reference
from octet.passes.repair.split_inputs import SplitInputs, splittable
from octet.passes.sensitivity.bench import Bench
from octet.passes.sensitivity.design import Design

from . import post_norm

SAMPLES = {"x": np.random.default_rng(1).standard_normal((48, post_norm.TOKENS, post_norm.WIDTH)).astype(np.float32)}


@pytest.fixture(scope="module")
def block(tmp_path_factory):
    return post_norm.load(tmp_path_factory.mktemp("block") / "block.onnx", np.ones(post_norm.WIDTH))


@pytest.fixture(scope="module")
def branches(tmp_path_factory):
    """x -> conv, GELU, conv, transpose, norm, read by two linear layers."""
    rng, node = np.random.default_rng(2), helper.make_node
    shapes = {"w0": (12, 4, 1, 3), "w1": (8, 12, 1, 3), "b1": (8,), "w2": (8, 6), "w3": (8, 6), "b3": (6,)}
    shapes |= {"gamma": (8,), "beta": (8,)}
    values = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    constants = [numpy_helper.from_array(value, name) for name, value in values.items()]
    constants.append(numpy_helper.from_array(np.array([1, 8, 10]), "rows"))
    nodes = [
        node("Conv", ["x", "w0"], ["c"], pads=[0, 1, 0, 1]),
        node("Gelu", ["c"], ["g"]),
        node("Conv", ["g", "w1", "b1"], ["d"], pads=[0, 1, 0, 1]),
        node("Reshape", ["d", "rows"], ["r"]),
        node("Transpose", ["r"], ["t"], perm=[0, 2, 1]),
        node("LayerNormalization", ["t", "gamma", "beta"], ["n"], axis=-1),
        node("MatMul", ["n", "w2"], ["p"]),
        node("MatMul", ["n", "w3"], ["m"]),
        node("Add", ["m", "b3"], ["q"]),
        node("Mul", ["p", "q"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 1, 10])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 10, 6])
    path = tmp_path_factory.mktemp("branches") / "branches.onnx"
    graph = helper.make_graph(nodes, "branches", [x], [y], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), path)
    return canonicalize(load_onnx(path))


def test_before_and_expected(becomes, unchanged):
    """GELU is never below -0.17 and at most 1.5 times the 3 seen: steps of 1/32, of which -6 is the first."""
    weight = relax.const(np.random.default_rng(4).standard_normal((4, 6)).astype(np.float32))

    def network(body):
        builder, x = relax.BlockBuilder(), relax.Var("x", relax.TensorType((2, 4), "float32"))
        with builder.function("main", [x]):
            with builder.dataflow():
                layer = lambda operand: builder.emit(relax.op.matmul(operand, weight))
                unary = lambda operand, kind, name="", **attrs: builder.emit(
                    ops.call("octet.unary", [operand], kind=kind, **attrs), name
                )
                result = builder.emit_output(relax.Tuple([body(layer, unary, builder.emit, x)]))
            builder.emit_func_output(result)
        return builder.get()

    def expected(layer, unary, emit, x):
        functions = [unary(x, "gelu") for _ in range(2)]
        coarse = unary(functions[0], "coarse", step=1 / 32, low=-6 / 32)
        remainder = unary(functions[1], "remainder", step=1 / 32)
        return emit(relax.op.add(layer(coarse), layer(remainder)))

    before = network(lambda layer, unary, emit, x: layer(unary(x, "gelu", "function")))
    becomes(SplitInputs({"function": np.full(4, 3.0, np.float32)}), before, network(expected))
    unchanged(SplitInputs({"function": np.zeros(4, np.float32)}), before)


def largest_of(module):
    return {name: np.full(8, 3.0, np.float32) for name in splittable(module)}


def test_fp32_stays_the_same_function(block):
    module = block.module
    after = SplitInputs(largest_of(module))(module)
    kinds = [ops.attrs_of(node.value)["kind"] for node in Graph(after).nodes if ops.is_op(node.value, "octet.unary")]
    assert sorted(kinds) == ["coarse", "gelu", "gelu", "remainder"]
    feed = {"x": SAMPLES["x"][:1]}
    for found, wanted in zip(reference.run(after, feed), reference.run(module, feed), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_nothing_is_split_of_which_nothing_is_known(block):
    assert SplitInputs({})(block.module) is block.module
    nothing = {name: np.zeros(4, np.float32) for name in splittable(block.module)}
    assert SplitInputs(nothing)(block.module) is block.module


def test_both_parts_are_tables_in_int8_and_lose_less(block):
    bench, recipe = Bench(block, SAMPLES, threads=1), Recipe(residuals="float")
    plain, split = Design(recipe, "smooth"), Design(recipe, "split")
    decided = [decision for decision in bench.plan(split).decisions if decision.op in ("unary", "matmul")]
    assert {decision.dtype for decision in decided} == {"int8"}
    before = sum(decision.op == "matmul" for decision in bench.plan(plain).decisions)
    assert sum(decision.op == "matmul" for decision in decided) == 1 + before
    assert bench.error(split) < bench.error(plain)


def test_everything_is_functions_in_float_and_what_layers_read_of_norms_and_convolutions(branches):
    module, feed = branches.module, {"x": np.random.default_rng(3).standard_normal((1, 4, 1, 10)).astype(np.float32)}
    assert not splittable(module), "a convolution reads the function, and the normalisation is one"
    names = splittable(module, everything=True)
    assert [len(readers) for readers in names.values()] == [1, 2]
    largest = {name: np.full(12, 5.0, np.float32) for name in names}
    after = SplitInputs(largest, everything=True)(module)
    kinds = [ops.attrs_of(node.value)["kind"] for node in Graph(after).nodes if ops.is_op(node.value, "octet.unary")]
    assert sorted(kinds) == ["coarse", "coarse", "gelu", "remainder", "remainder"]
    for found, wanted in zip(reference.run(after, feed), reference.run(module, feed), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    reasons = {d.name: d.reason for d in Annotate(Recipe()).decide(after).decisions if d.op == "unary"}
    assert any("its result is only used in float" in reason for reason in reasons.values())
    assert sum("splits a float32 tensor in two bytes" in reason for reason in reasons.values()) == 4


def test_a_normalisation_that_one_layer_reads_stays(block):
    assert len(splittable(block.module, everything=True)) == len(splittable(block.module)) == 1


def test_everything_loses_less_than_functions_alone(block):
    bench, recipe = Bench(block, SAMPLES, threads=1), Recipe(residuals="float")
    assert bench.error(Design(recipe, "split-all")) < bench.error(Design(recipe, "split"))
