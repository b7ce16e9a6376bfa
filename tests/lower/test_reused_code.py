"""Machine code that networks of one process share."""

import numpy as np
import pytest
from tvm import relax

from octet.passes.lower import reused_code
from octet.passes.lower.build import build_variant
from octet.passes.lower.cpu import backend
from octet.passes.realize.fuse_float import FuseFloat
from octet.targets import detect
from octet.targets.opening import open_session
from octet.targets.variant import TensorSpec

X = TensorSpec("x", (4, 40), "float32")


def network(*operators):
    """A chain of unary operators."""
    builder, x = relax.BlockBuilder(), relax.Var("x", relax.TensorType(X.shape, X.dtype))
    with builder.function("main", [x]):
        with builder.dataflow():
            value = x
            for operator in operators:
                value = builder.emit(operator(value))
            result = builder.emit_output(relax.Tuple([value]))
        builder.emit_func_output(result)
    return FuseFloat()(builder.get())


@pytest.fixture
def compiled(monkeypatch):
    """Functions of every module that is compiled, without code that others left."""
    found, code, make = [], reused_code.ReusedCode(), reused_code.compile_module
    monkeypatch.setattr(reused_code, "_code_for", lambda target: code)
    # Elsewhere in the tests equal networks are kept.
    monkeypatch.setattr(backend, "compile_here", reused_code.compile_here)
    monkeypatch.setattr(
        reused_code, "compile_module", lambda mod, spec: found.append(len(mod.functions_items())) or make(mod, spec)
    )
    return found


def run(module, **options):
    x = np.random.default_rng(0).standard_normal(X.shape).astype("float32")
    return open_session(
        build_variant(module, detect.native(), (X,), (TensorSpec("y", X.shape, X.dtype),), **options)
    ).run({"x": x})["y"]


def test_a_kernel_is_compiled_once_for_all_networks(compiled):
    first, second = network(relax.op.exp, relax.op.tanh), network(relax.op.tanh, relax.op.exp, relax.op.sigmoid)
    here = [run(first, here=True), run(second, here=True)]
    assert compiled[0] > 1 and compiled[2] == 1  # The second network shares all but sigmoid.
    for found, module in zip(here, (first, second)):
        np.testing.assert_array_equal(found, run(module))


def test_code_is_forgotten_where_there_is_too_much(compiled, monkeypatch):
    monkeypatch.setattr(reused_code, "_ROOM", 0)
    module = network(relax.op.exp)
    np.testing.assert_array_equal(run(module, here=True), run(module, here=True))
    assert compiled[0] == compiled[2] > 0


def test_a_build_that_was_interrupted_leaves_nothing_behind(compiled, monkeypatch):
    module, make = network(relax.op.exp), reused_code._object
    with monkeypatch.context() as patch:
        patch.setattr(reused_code, "_object", lambda mod, spec: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(module, here=True)
    assert reused_code._object is make
    np.testing.assert_array_equal(run(module, here=True), run(module))
