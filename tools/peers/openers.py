"""How a peer opens a model: (path, feed, threads) -> a function that runs the feed once and gives {output, by name or number: array}."""

from . import onnxruntime_peer


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
    return lambda: dict(enumerate(request.infer(feed).values()))


OPENERS = {"onnxruntime": _onnxruntime, "openvino": _openvino}
