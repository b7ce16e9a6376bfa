"""Small graphs for the tests of single passes."""

import numpy as np
import pytest
from tvm import relax

from octet.passes import ops


class Build:
    """Graph-building shorthands: `build(shapes, body)` makes `main` with parameters x0, x1, ... and what
    `body(*parameters)` returns as output(s).

    Inside `body` a call of `build.e(expr)` binds an intermediate value.
    """

    def __call__(self, shapes, body, dtype="float32"):
        params = [relax.Var(f"x{i}", relax.TensorType(shape, dtype)) for i, shape in enumerate(shapes)]
        builder = relax.BlockBuilder()
        self.e = builder.emit
        with builder.function("main", params):
            with builder.dataflow():
                outputs = body(*params)
                outputs = [self.leaf(o) for o in (outputs if isinstance(outputs, (list, tuple)) else [outputs])]
                result = builder.emit_output(relax.Tuple(outputs))
            builder.emit_func_output(result)
        return builder.get()

    def leaf(self, expr):
        return expr if isinstance(expr, relax.Var) else self.e(expr)

    def unary(self, kind, x, **attrs):
        return self.e(ops.call("octet.unary", [x], kind=kind, **attrs))

    @staticmethod
    def const(value, dtype="float32"):
        return relax.const(np.asarray(value, dtype), dtype)

    @staticmethod
    def random(*shape, seed=0):
        return np.random.default_rng(seed).standard_normal(shape).astype("float32")


@pytest.fixture
def build():
    return Build()


@pytest.fixture
def values():
    """values(module, seed): the outputs on random inputs, by the NumPy referee."""
    from octet.passes.referee import reference

    def run(module, seed=0):
        rng = np.random.default_rng(seed)
        feeds = {
            p.name: rng.standard_normal([int(e) for e in p.ty.shape.values]).astype("float32")
            for p in module["main"].params
        }
        return reference.run(module, feeds)

    return run


@pytest.fixture
def preserves(values):
    """preserves(step, before): the pass keeps the values to float32 rounding (1e-5 of the largest); returns the module
    after it."""

    def check(step, before, tolerance=1e-5):
        after = step(before)
        relax.analysis.well_formed(after)
        for got, want in zip(values(after), values(before), strict=True):
            assert got.shape == want.shape
            np.testing.assert_allclose(got, want, rtol=0, atol=tolerance * max(1.0, np.abs(want).max()))
        return after

    return check


@pytest.fixture
def names():
    """names(module): the operators of `main` in order; octet.unary as its kind."""

    def listed(module):
        calls = [b.value for b in module["main"].body.blocks[0].bindings if isinstance(b.value, relax.Call)]
        return [
            ops.attrs_of(c)["kind"] if ops.is_op(c, "octet.unary") else c.op.name.removeprefix("relax.") for c in calls
        ]

    return listed
