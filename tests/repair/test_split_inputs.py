"""Results of functions in two bytes: the same function in fp32, two tables and two products in int8, and far less error
where a few values are large."""

import numpy as np
import pytest

from octet.passes import ops
from octet.passes.annotate import Recipe
from octet.passes.annotate.graph import Graph
from octet.passes.referee import reference
from octet.passes.repair.split_inputs import SplitInputs, splittable
from octet.passes.sensitivity.bench import Bench
from octet.passes.sensitivity.design import Design

from . import post_norm

SAMPLES = {"x": np.random.default_rng(1).standard_normal((48, post_norm.TOKENS, post_norm.WIDTH)).astype(np.float32)}


@pytest.fixture(scope="module")
def block(tmp_path_factory):
    return post_norm.load(tmp_path_factory.mktemp("block") / "block.onnx", np.ones(post_norm.WIDTH))


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
    assert (
        SplitInputs({name: np.zeros(4, np.float32) for name in splittable(block.module)})(block.module) is block.module
    )


def test_both_parts_are_tables_in_int8_and_lose_less(block):
    bench, recipe = Bench(block, SAMPLES, threads=1), Recipe(residuals="float")
    plain, split = Design(recipe, "smooth"), Design(recipe, "split")
    decided = [decision for decision in bench.plan(split).decisions if decision.op in ("unary", "matmul")]
    assert {decision.dtype for decision in decided} == {"int8"}
    assert sum(decision.op == "matmul" for decision in decided) == 1 + sum(
        d.op == "matmul" for d in bench.plan(plain).decisions
    )
    assert bench.error(split) < bench.error(plain)
