"""The traits `homogeneous` and `monotone` say of an operator what its referee does, and of no other one."""

import numpy as np
import pytest
from tvm import relax

import octet.passes  # noqa: F401 - registers the operators
from octet.passes.operators.registry import TRAITS, operators
from octet.passes.referee import reference

BUILT = {
    "relax.nn.relu": relax.op.nn.relu,
    "relax.nn.leakyrelu": lambda x: relax.op.nn.leakyrelu(x, 0.125),
    "relax.nn.prelu": lambda x: relax.op.nn.prelu(x, relax.const(np.array([0.25, -0.5, 2], np.float32)), 1),
    "relax.negative": relax.op.negative,
    "relax.clip": lambda x: relax.op.clip(x, -1, 1),
    "relax.sigmoid": relax.op.sigmoid,
    "relax.nn.relu6": relax.op.nn.relu6,
    "relax.nn.selu": relax.op.nn.selu,
    "relax.maximum": lambda x: relax.op.maximum(x, relax.op.flip(x, 2)),
    "relax.minimum": lambda x: relax.op.minimum(x, relax.op.flip(x, 2)),
    "relax.multiply": lambda x: relax.op.multiply(x, relax.op.flip(x, 2)),
    "relax.nn.max_pool2d": lambda x: relax.op.nn.max_pool2d(x, (2, 2)),
    "relax.nn.avg_pool2d": lambda x: relax.op.nn.avg_pool2d(x, (2, 2)),
}
FUNCTIONS = sorted(name for name in BUILT if TRAITS[name].elementwise == 1)
HOMOGENEOUS = operators(lambda traits: traits.homogeneous)
MONOTONE = operators(lambda traits: traits.monotone)
STEP = np.float32(0.25)


@pytest.fixture
def computed():
    def run(name, values):
        builder = relax.BlockBuilder()
        x = relax.Var("x", relax.TensorType(values.shape, "float32"))
        with builder.function("main", [x]):
            with builder.dataflow():
                result = builder.emit_output(builder.normalize(BUILT[name](x)))
            builder.emit_func_output(result)
        return reference.run(builder.get(), {"x": values})[0]

    return run


def _values():
    return (np.random.default_rng(0).standard_normal((2, 3, 4, 6)) * 4).astype(np.float32)


def _rounded(values):
    """Down: rounding to nearest would commute with a change of sign, too."""
    return np.floor(values / STEP) * STEP


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_homogeneous_function_lets_a_factor_through(name, computed):
    plain, scaled = computed(name, _values()), computed(name, _values() * np.float32(4))
    assert np.array_equal(scaled, plain * 4) == (name in HOMOGENEOUS)


@pytest.mark.parametrize("name", sorted(BUILT))
def test_a_monotone_operator_commutes_with_rounding(name, computed):
    plain, rounded = computed(name, _values()), computed(name, _rounded(_values()))
    assert np.array_equal(rounded, _rounded(plain)) == (name in MONOTONE)


def test_every_such_operator_is_tried():
    assert HOMOGENEOUS <= set(FUNCTIONS) and MONOTONE <= set(BUILT)
