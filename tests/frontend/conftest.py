"""Small ONNX graphs: saved, imported, canonicalised, and compared with ONNX's reference implementation."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

sys.path.insert(0, str(Path(__file__).parent))  # Modules of this folder that tests share.


def make_model(nodes, inputs, constants=(), opset=17, outputs=("y",), shapes=None):
    """A ModelProto. inputs: {name: array}; shapes: {name: declared shape}, where it differs from the array's;
    constants: {name: array}."""
    shapes = shapes if shapes is not None else {}
    graph = helper.make_graph(
        nodes,
        "test",
        [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), shapes.get(n, v.shape))
            for n, v in inputs.items()
        ],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in dict(constants).items()],
    )
    for value in graph.output:
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


@pytest.fixture
def model():
    return make_model


@pytest.fixture
def load(tmp_path):
    """load(proto, **options): the proto through a file and load_onnx."""
    from octet.passes.frontend.onnx import load_onnx

    def through_file(proto, **options):
        onnx.save(proto, tmp_path / "model.onnx")
        return load_onnx(tmp_path / "model.onnx", **options)

    return through_file


@pytest.fixture
def agrees(load):
    """agrees(proto, inputs, want=None): canonicalised and run by the NumPy referee it equals `want` (default:
    onnx.reference), within 1e-4 of the largest value: sums are taken in another order. Returns the canonical Model."""
    from tvm import relax

    from octet.passes.pipeline import canonicalize
    from octet.passes.referee import reference

    def check(proto, inputs, want=None):
        canonical = canonicalize(load(proto))
        relax.analysis.well_formed(canonical.module)
        want = ReferenceEvaluator(proto).run(None, inputs) if want is None else want
        got = reference.run(canonical.module, inputs)
        for spec, a, b in zip(canonical.outputs, got, want, strict=True):
            assert a.shape == b.shape == spec.shape and str(a.dtype) == spec.dtype
            np.testing.assert_allclose(a.astype("float64"), b, rtol=0, atol=1e-4 * max(1.0, np.abs(b).max()))
        return canonical

    return check
