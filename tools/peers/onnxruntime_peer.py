"""ONNX Runtime's static quantization: QDQ, unsigned 8 bit activations, signed weights per channel, everything else as
its defaults have it."""

import contextlib
import io
import logging
from pathlib import Path

METHODS = ("MinMax", "Entropy", "Percentile")
# In this opset DequantizeLinear learnt of channels; nobody loads a model below it that is quantised per channel.
_PER_CHANNEL = 13
_NEWER = 17
_OF_INTEGERS = ("QuantizeLinear", "DynamicQuantize", "QLinear", "QGemm", "MatMulInteger", "ConvInteger")
LINEAR = ("Conv", "Gemm", "MatMul")  # Its users fall back to these where its default, every operator, loses a network.


class _Reader:
    """onnxruntime's CalibrationDataReader, by its one method."""

    def __init__(self, batches):
        self._left = iter(batches)

    def get_next(self):
        return next(self._left, None)


def quantized(path, batches, folder: Path, method: str = "MinMax", operators: tuple[str, ...] | None = None) -> Path:
    """The int8 model, a new file in `folder`. batches: feeds of one run each. method: of METHODS. operators: ONNX types
    to quantise, None for its default (all it knows). Raises what onnxruntime raises."""
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared, made = folder / "prepared.onnx", folder / f"int8-{method}-{'all' if operators is None else 'some'}.onnx"
    level = logging.getLogger().level
    # It advises preprocessing, on the root logger, even after preprocessing.
    logging.getLogger().setLevel(logging.ERROR)
    try:
        # It prints what its calibrators do.
        with contextlib.redirect_stdout(io.StringIO()):
            if not prepared.exists():
                quant_pre_process(str(_recent(path, folder)), str(prepared), skip_symbolic_shape=True)
            quantize_static(
                str(prepared),
                str(made),
                _Reader(batches),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod[method],
                op_types_to_quantize=operators,
            )
    finally:
        logging.getLogger().setLevel(level)
    return made


def holds_integers(path) -> bool:
    """Whether a file comes quantised: integers are computed in it, not weights alone kept in them."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        nodes = onnx.load(str(path), load_external_data=False).graph.node
    except DecodeError:
        return False  # Whoever opens it says why it cannot be read.
    return any(node.op_type.startswith(_OF_INTEGERS) for node in nodes)


def _recent(path, folder):
    """The model in an opset that knows scales per channel, in one file, as preprocessing loses data that lie beside it:
    `path` itself, or a copy in `folder`."""
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    beside = any(map(onnx.external_data_helper.uses_external_data, model.graph.initializer))
    old = next((entry.version for entry in model.opset_import if entry.domain == ""), _NEWER) < _PER_CHANNEL
    if not old and not beside:
        return path
    model, newer = onnx.load(str(path)), folder / "newer.onnx"
    onnx.save(onnx.version_converter.convert_version(model, _NEWER) if old else model, newer)
    return newer


def session(path, threads: int):
    """feed -> {output: array}."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    made = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in made.get_outputs()]
    return lambda feed: dict(zip(names, made.run(names, feed)))
