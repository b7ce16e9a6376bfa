"""Networks to export, the referee, and ONNX Runtime where it is installed."""

import numpy as np
import pytest
from tvm import relax

import octet.passes  # noqa: F401 - registers the operators
from octet.passes.referee import reference


@pytest.fixture(scope="session")
def build():
    """build(body, x=shape, ...) -> IRModule; body(emit, *params) returns one expression or a list of them."""

    def run(body, **shapes):
        builder = relax.BlockBuilder()
        params = [relax.Var(name, relax.TensorType(shape, "float32")) for name, shape in shapes.items()]
        with builder.function("main", params):
            with builder.dataflow():
                results = body(builder.emit, *params)
                result = builder.emit_output(relax.Tuple(results if isinstance(results, list) else [results]))
            builder.emit_func_output(result)
        return builder.get()

    return run


@pytest.fixture(scope="session")
def runtime():
    """runtime(proto or path, feed) -> results, by ONNX Runtime."""
    ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (pip install octet[peers])")

    def run(model, feed):
        data = model if isinstance(model, (str, bytes)) else model.SerializeToString()
        return ort.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, feed)

    return run


@pytest.fixture(scope="session")
def agree(runtime):
    """Asserts that ONNX Runtime and the referee agree on seeded inputs: float32 sums in another order, so to 1e-5 of
    the largest value."""
    from octet.passes.export.onnx_qdq import to_onnx

    def check(module, positive=False):
        rng = np.random.default_rng(0)
        feed = {
            p.name: rng.standard_normal([int(d) for d in p.ty.shape.values]).astype("float32")
            for p in module["main"].params
        }
        feed = {name: np.abs(x) + 0.1 if positive else x for name, x in feed.items()}
        wanted = reference.run(module, feed)
        names = tuple(f"y{i}" for i in range(len(wanted)))
        found = runtime(to_onnx(module, names), feed)
        for a, b in zip(wanted, found, strict=True):
            assert a.shape == b.shape and a.dtype == b.dtype
            np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-5 * max(np.abs(a).max(initial=0), 1))

    return check
