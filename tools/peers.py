"""The peers of a benchmark, run on the same machine in the same process: ONNX Runtime and OpenVINO on the same ONNX model.

int8: ONNX Runtime's static quantization (QDQ, per channel, u8 activations, s8 weights) from the same calibration data; both runtimes read
that one file. Every peer gets the same number of threads, one stream, and float32 arithmetic where it is not int8.
"""

import tempfile
from pathlib import Path

import numpy as np

from ..targets.errors import DataError, OctetError
from . import onnxruntime_peer

PEERS = ("onnxruntime", "openvino")
CALIBRATION_SAMPLES = 64


def chosen(text: str) -> tuple[str, ...]:
    """The comma separated peers of the command line. Raises OctetError for an unknown one or one that is not installed."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in PEERS:
            raise OctetError(f"--against {name}: unknown; take one or both of: {','.join(PEERS)}")
    for module in dict.fromkeys(("onnxruntime.quantization", *names)):  # ONNX Runtime makes the int8 model that both peers read
        try:
            __import__(module)
        except ImportError as error:
            raise OctetError(f"--against {text}: {error.name or module} is not installed; run: pip install 'octet[peers]'") from error
    return names


def runners(names, onnx_path, samples: dict, feed: dict, threads: int) -> dict:
    """Functions without arguments, by name ("onnxruntime-fp32", "onnxruntime-int8", "openvino-fp32", "openvino-int8").
    samples: calibration arrays [N, ...]. feed: one batch in the shapes that the models run with."""
    made = {}
    with tempfile.TemporaryDirectory(prefix="octet-peers-") as folder:
        int8 = _quantized(Path(onnx_path), samples, feed, Path(folder))
        if "onnxruntime" in names:
            made["onnxruntime-fp32"] = _onnxruntime(str(onnx_path), feed, threads)
            made["onnxruntime-int8"] = _onnxruntime(str(int8), feed, threads)
        if "openvino" in names:
            made["openvino-fp32"] = _openvino(str(onnx_path), feed, threads)
            made["openvino-int8"] = _openvino(str(int8), feed, threads)
    return made


def _quantized(path, samples, feed, folder):
    batch = {name: len(array) for name, array in feed.items()}
    count = min(len(next(iter(samples.values()))), CALIBRATION_SAMPLES)
    batches = [{name: _batch(samples[name], start, batch[name]) for name in samples} for start in range(0, count, max(batch.values()))]
    try:
        return onnxruntime_peer.quantized(path, batches, folder)
    except Exception as error:
        raise DataError(f"{path}: onnxruntime cannot quantise it ({str(error).strip().splitlines()[0][:120]}); benchmark without --against") from error


def _batch(array, start, count):
    return array[np.minimum(np.arange(start, start + count), len(array) - 1)]


def _onnxruntime(path, feed, threads):
    run = onnxruntime_peer.session(path, threads)
    return lambda: run(feed)


def _openvino(path, feed, threads):
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    model.reshape({name: array.shape for name, array in feed.items()})
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    return lambda: request.infer(feed)
