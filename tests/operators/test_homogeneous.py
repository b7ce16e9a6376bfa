"""The trait `homogeneous` says of an operator what its referee does, and of no other function of one tensor."""

import numpy as np
import octet.passes  # noqa: F401 - registers the operators
import pytest
from octet.passes.operators.registry import operators
from octet.passes.realize import reference
from tvm import relax

BUILT = {
    "relax.nn.relu": relax.op.nn.relu,
    "relax.nn.leakyrelu": lambda x: relax.op.nn.leakyrelu(x, 0.125),
    "relax.nn.prelu": lambda x: relax.op.nn.prelu(x, relax.const(np.array([0.25, -0.5, 2], np.float32)), 1),
    "relax.negative": relax.op.negative,
    "relax.clip": lambda x: relax.op.clip(x, -1, 1),
    "relax.sigmoid": relax.op.sigmoid,
    "relax.nn.relu6": relax.op.nn.relu6,
    "relax.nn.selu": relax.op.nn.selu,
}
HOMOGENEOUS = operators(lambda traits: traits.homogeneous)


@pytest.mark.parametrize("name", sorted(HOMOGENEOUS | BUILT.keys()))
def test_the_trait_is_what_the_operator_does(name):
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((2, 3, 4), "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            result = builder.emit_output(builder.emit(BUILT[name](x)))
        builder.emit_func_output(result)
    values = (np.random.default_rng(0).standard_normal((2, 3, 4)) * 4).astype(np.float32)
    (plain,), (scaled,) = (reference.run(builder.get(), {"x": values * np.float32(factor)}) for factor in (1, 4))
    assert np.array_equal(scaled, plain * 4) == (name in HOMOGENEOUS)
