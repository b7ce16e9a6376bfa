"""Builds small QDQ graphs by hand."""

import numpy as np
import pytest
from tvm import relax

import octet.passes  # noqa: F401 - registers the operators


class Network:
    """Emits bindings into one dataflow block; calling it emits an expression."""

    def __init__(self, builder):
        self._builder = builder

    def __call__(self, expr, name=""):
        return self._builder.emit(expr, name)

    def quantize(self, x, scale, zero_point, name=""):
        return self(relax.op.quantize(x, _scalar(scale, "float32"), _scalar(zero_point, "int8")), name)

    def dequantize(self, q, scale, zero_point, name=""):
        return self(relax.op.dequantize(q, _scalar(scale, "float32"), _scalar(zero_point, "int8")), name)

    def qdq(self, x, scale, zero_point):
        """A fake-quantised tensor."""
        return self.dequantize(self.quantize(x, scale, zero_point), scale, zero_point)

    def weight(self, values, scales, axis):
        """A dequantised int8 constant, one scale per channel of `axis` (or one for all)."""
        scales = np.asarray(scales, "float32")
        zeros = relax.const(np.zeros(scales.shape, "int8"), "int8")
        return self(relax.op.dequantize(relax.const(values, "int8"), relax.const(scales, "float32"), zeros, axis=axis))


def _scalar(value, dtype):
    return relax.const(np.asarray(value, dtype), dtype)


@pytest.fixture(scope="session")
def build():
    """build(body, x=[1, 3, 8, 8], ...) -> IRModule; body(network, *parameters) emits and returns the result. All inputs
    are float32."""

    def run(body, dtype="float32", **inputs):
        builder = relax.BlockBuilder()
        params = [relax.Var(name, relax.TensorType(shape, dtype)) for name, shape in inputs.items()]
        with builder.function("main", params):
            with builder.dataflow():
                result = builder.emit_output(body(Network(builder), *params))
            builder.emit_func_output(result)
        return builder.get()

    return run


@pytest.fixture(scope="session")
def operators():
    """operators(module) -> the names of the operators in program order, R.quantize and R.dequantize left out."""

    def names(module):
        values = [binding.value for binding in module["main"].body.blocks[0].bindings]
        calls = [value.op.name for value in values if isinstance(value, relax.Call)]
        return [name for name in calls if name not in ("relax.quantize", "relax.dequantize")]

    return names


@pytest.fixture(scope="session")
def assert_close_codes():
    """Two int8 results of the same network, fake-quantised and integer: at most one quantum apart, and rarely that."""

    def check(hub, integer, share=0.03):
        assert hub.dtype == integer.dtype == np.int8 and hub.shape == integer.shape
        difference = np.abs(hub.astype(int) - integer.astype(int))
        assert difference.max(initial=0) <= 1
        assert np.count_nonzero(difference) <= max(1, share * difference.size), (
            f"{np.count_nonzero(difference)} of {difference.size} differ"
        )

    return check
