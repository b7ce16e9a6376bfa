"""The exported hub: valid ONNX, int8 weights, int32 biases, the hub's own answers in ONNX Runtime; and the file is
written whole or not at all."""

import numpy as np
import onnx
import pytest
from tvm import relax

from octet.passes.annotate import Recipe
from octet.passes.calibrate.quantize import quantize
from octet.passes.export.onnx_qdq import export_qdq, to_onnx
from octet.passes.frontend.model import Model, TensorSpec
from octet.passes.referee import reference
from octet.targets.errors import OctetError

R = relax.op


@pytest.fixture(scope="module")
def samples():
    return {"x": np.random.default_rng(5).standard_normal((16, 3, 10, 10)).astype("float32")}


@pytest.fixture(scope="module")
def model(build):
    rng = np.random.default_rng(4)

    def const(*shape):
        return relax.const((rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype("float32"))

    def body(emit, x):
        y = emit(R.nn.conv2d(x, const(8, 3, 3, 3), padding=[1] * 4))
        y = emit(R.clip(emit(R.add(y, const(1, 8, 1, 1))), 0.0, 6.0))
        z = emit(R.nn.conv2d(y, const(8, 1, 3, 3), padding=[1] * 4, groups=8))
        y = emit(R.nn.relu(emit(R.add(emit(R.add(z, const(1, 8, 1, 1))), y))))
        y = emit(R.reshape(emit(R.mean(y, [2, 3], keepdims=True)), (1, 8)))
        return emit(R.add(emit(R.matmul(y, const(8, 5))), const(5)))

    module = build(body, x=(1, 3, 10, 10))
    return Model(
        module,
        (TensorSpec("x", (1, 3, 10, 10), "float32"),),
        (TensorSpec("logits", (1, 5), "float32"),),
        "tiny",
        "0" * 64,
        1,
    )


@pytest.fixture(
    scope="module",
    params=[Recipe(), Recipe(activations="symmetric"), Recipe(weights="per-tensor")],
    ids=["affine", "symmetric", "per-tensor"],
)
def quantized(request, model, samples):
    return quantize(
        model, samples, request.param, executor_factory=lambda m: lambda feed: reference.run(m, feed), summaries=False
    )


def test_the_runtime_gives_the_answers_of_the_hub(quantized, samples, runtime, tmp_path):
    """ONNX Runtime fuses the pairs into integer kernels, which round sums that the hub's float32 leaves a hair off: a
    step of a scale now and then."""
    path = tmp_path / "tiny.qdq.onnx"
    export_qdq(quantized, path)
    agreed = 0
    for x in samples["x"]:
        (wanted,), (found,) = reference.run(quantized.module, {"x": x[None]}), runtime(str(path), {"x": x[None]})
        assert np.abs(wanted - found).max() < 0.05 * np.abs(wanted).max()
        agreed += int(wanted.argmax() == found.argmax())
    assert agreed == len(samples["x"])


def test_the_file(quantized, tmp_path):
    path = tmp_path / "tiny.qdq.onnx"
    export_qdq(quantized, path)
    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)
    kinds = [node.op_type for node in proto.graph.node]
    assert kinds.count("Conv") == 2 and "Gemm" in kinds and {"QuantizeLinear", "DequantizeLinear"} < set(kinds)
    assert [v.name for v in proto.graph.input] == ["x"] and [v.name for v in proto.graph.output] == ["logits"]
    types = {array.dtype for array in map(onnx.numpy_helper.to_array, proto.graph.initializer) if array.size > 5}
    assert np.dtype("int8") in types and np.dtype("int32") in types


@pytest.mark.parametrize(("codes", "dtype"), [("uint8", np.uint8), ("int8", np.int8)])
def test_activations_have_the_type_asked_for_and_weights_stay_int8(quantized, tmp_path, codes, dtype):
    """The same scales, and zero points 128 apart."""
    path = tmp_path / "codes.onnx"
    export_qdq(quantized, path, codes)
    graph = onnx.load(path).graph
    constants = {array.name: onnx.numpy_helper.to_array(array) for array in graph.initializer}
    zeros = [constants[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"]
    assert zeros and all(zero.dtype == dtype for zero in zeros)
    weights = [
        constants[node.input[0]]
        for node in graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in constants
    ]
    assert {weight.dtype for weight in weights} == {np.dtype("int8"), np.dtype("int32")}
    if quantized.recipe.activations == "symmetric":
        assert {int(zero) for zero in zeros} == {128 if codes == "uint8" else 0}


def test_other_codes_are_refused(quantized, tmp_path):
    with pytest.raises(OctetError, match="take one of uint8, int8"):
        export_qdq(quantized, tmp_path / "x.onnx", "int16")
    assert not list(tmp_path.iterdir())


def test_codes_that_others_read_stay_what_they_are(build):
    """Whole numbers that leave the network mean themselves."""

    def body(emit, x):
        codes = emit(R.quantize(x, relax.const(np.float32(0.1)), relax.const(np.int8(3)), axis=-1, out_dtype="int8"))
        return [emit(R.dequantize(codes, relax.const(np.float32(0.1)), relax.const(np.int8(3)), axis=-1)), codes]

    zeros = [
        array.data_type
        for array in to_onnx(build(body, x=(1, 4)), ("y", "codes"), codes="uint8").graph.initializer
        if not array.dims and array.data_type != onnx.TensorProto.FLOAT
    ]
    assert zeros == [onnx.TensorProto.INT8]


@pytest.fixture(scope="module")
def joined(build, samples):
    """A hub with a concat of two branches, where OpenVINO misreads int8."""
    rng = np.random.default_rng(6)

    def body(emit, x):
        parts = [
            emit(
                R.nn.relu(
                    emit(
                        R.nn.conv2d(
                            x,
                            relax.const(rng.standard_normal((4, 3, 3, 3)).astype("float32"), "float32"),
                            padding=[1] * 4,
                        )
                    )
                )
            )
            for _ in range(2)
        ]
        y = emit(R.concat(parts, axis=1))
        return emit(R.nn.conv2d(y, relax.const(rng.standard_normal((5, 8, 1, 1)).astype("float32"), "float32")))

    model = Model(
        build(body, x=(1, 3, 10, 10)),
        (TensorSpec("x", (1, 3, 10, 10), "float32"),),
        (TensorSpec("y", (1, 5, 10, 10), "float32"),),
        "joined",
        "0" * 64,
        1,
    )
    return quantize(
        model, samples, Recipe(), executor_factory=lambda m: lambda feed: reference.run(m, feed), summaries=False
    )


@pytest.mark.parametrize("peer", ["onnxruntime", "openvino"])
def test_both_peers_read_back_what_the_hub_means(joined, quantized, samples, peer, tmp_path):
    pytest.importorskip(peer, reason=f"{peer} is not installed (pip install octet[peers])")
    for number, hub in enumerate((joined, quantized)):
        path = tmp_path / f"{number}.onnx"
        export_qdq(hub, path)
        exact, noise = 0.0, 0.0
        for x in samples["x"][:6]:
            wanted = reference.run(hub.module, {"x": x[None]})[0]
            exact, noise = exact + np.sum(wanted**2), noise + np.sum((wanted - _answer(peer, path, x[None])) ** 2)
        assert 10 * np.log10(exact / noise) > 30


def _answer(peer, path, x):
    if peer == "openvino":
        import openvino

        core = openvino.Core()
        return core.compile_model(core.read_model(str(path)), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})({"x": x})[0]
    import onnxruntime

    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


def test_a_folder_that_does_not_exist(quantized, tmp_path):
    with pytest.raises(OctetError, match="cannot be written"):
        export_qdq(quantized, tmp_path / "nowhere" / "x.onnx")


def test_what_was_there_stays_when_writing_fails(quantized, tmp_path, monkeypatch):
    path = tmp_path / "x.onnx"
    path.write_bytes(b"old")

    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", no_space)
    with pytest.raises(OctetError, match="No space left on device"):
        export_qdq(quantized, path)
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["x.onnx"]
