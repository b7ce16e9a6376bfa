"""One network for several shapes: one library, in which equal kernels are once, and one blob of weights, in which equal
constants are."""

import numpy as np
import pytest
from tvm import relax

import octet.passes  # noqa: F401 - registers the operators
from octet.passes.lower.build import build_shapes, build_variant
from octet.passes.lower.integer_network import IntegerNetwork
from octet.passes.referee.reference import run
from octet.targets import detect
from octet.targets.errors import TargetError
from octet.targets.registry import find
from octet.targets.runtime import Session
from octet.targets.variant import TensorSpec

R = relax.op
_RNG = np.random.default_rng(0)
POSITIONS = _RNG.standard_normal((40, 32)).astype(np.float32)
WEIGHTS, HEAD = ((_RNG.standard_normal(shape) / 6).astype(np.float32) for shape in ((32, 32), (32, 8)))


def network(length):
    """tanh((x + positions) W), its first row through a head: what follows that row is the same for every length."""
    builder, x = relax.BlockBuilder(), relax.Var("x", relax.TensorType([1, length, 32], "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            a = builder.emit(R.add(x, relax.const(POSITIONS[None, :length])))
            y = builder.emit(R.tanh(builder.emit(R.matmul(a, relax.const(WEIGHTS)))))
            first = builder.emit(R.reshape(builder.emit(R.strided_slice(y, [1], [0], [1])), [1, 32]))
            z = builder.emit(R.nn.softmax(builder.emit(R.matmul(builder.emit(R.nn.relu(first)), relax.const(HEAD)))))
            result = builder.emit_output(relax.Tuple([y, z]))
        builder.emit_func_output(result)
    outs = (TensorSpec("y", (1, length, 32), "float32"), TensorSpec("z", (1, 8), "float32"))
    return IntegerNetwork(builder.get(), (TensorSpec("x", (1, length, 32), "float32"),), outs)


def test_every_shape_equals_the_referee_with_weights_kept_once():
    networks = [network(length) for length in (8, 40, 24)]
    variants = build_shapes(tuple(networks), detect.native(), "net")
    assert len({variant.library for variant in variants}) == 1 and [variant.shape for variant in variants] == [0, 1, 2]
    largest = build_variant(networks[1].module, detect.native(), networks[1].inputs, networks[1].outputs)
    assert all(variant.weights is variants[0].weights for variant in variants)
    assert 0 < variants[0].weights.size - largest.weights.size < 2 * (POSITIONS.nbytes + 512), (
        "nothing but the positions of the other lengths"
    )
    first = None
    for one, variant in zip(networks, variants):
        session = Session(variant, 1, beside=first)
        first = first or session
        x = _RNG.standard_normal(one.inputs[0].shape).astype(np.float32)
        for got, wanted in zip(session.run({"x": x}).values(), run(one.module, {"x": x})):
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
        assert len(session.profile({"x": x}, repeat=1)) == len(variant.steps)
    assert len(str(variants[0].source)) < sum(
        len(str(build_variant(n.module, detect.native(), n.inputs, n.outputs).source)) for n in networks
    )


def test_one_shape_is_as_it_was():
    one = network(24)
    (alone,) = build_shapes((one,), detect.native(), "net")
    again = build_variant(one.module, detect.native(), one.inputs, one.outputs, "net")
    assert (alone.source, alone.weights.tobytes(), alone.steps) == (again.source, again.weights.tobytes(), again.steps)
    assert "octet_run_1" not in str(alone.source)


def test_several_shapes_are_for_cpus():
    with pytest.raises(TargetError, match="a package for each shape"):
        build_shapes((network(8), network(24)), find("cuda-sm80"))
