"""NNCF's post-training quantization for OpenVINO, which runs the result."""

import contextlib
import io
import logging
import os

import numpy as np

PRESETS = ("performance", "mixed")  # The first has symmetric activations, the second affine ones.


def prepared():
    """The module nncf, silent: no figures of use sent to its makers, no progress bars and advice of its own."""
    os.environ.setdefault("NNCF_CI", "1")  # NNCF reads this switch for telemetry at import.
    import nncf

    nncf.set_log_level(logging.ERROR)
    return nncf


def openvino_model(path, shapes: dict):
    """OpenVINO's model of an ONNX file with the given input shapes ({name: shape})."""
    import openvino

    model = openvino.Core().read_model(str(path))
    model.reshape({name: list(shape) for name, shape in shapes.items()})
    return model


def quantized(model, feeds, preset: str, transformer: bool):
    """The model as NNCF quantises it.

    model: openvino.Model. feeds: a list of one run each; all are used. preset: of PRESETS. transformer: its
    model_type=TRANSFORMER."""
    nncf = prepared()
    with _silent():
        return nncf.quantize(model, nncf.Dataset(feeds), subset_size=len(feeds), **_options(nncf, preset, transformer))


def accuracy_controlled(model, feeds, validation, score, max_drop: float, transformer: bool):
    """Its own search for layers to leave in float. validation: (feed, labels) pairs, of which it takes parts as it
    likes.
    score({output: array}, labels) -> larger is better. max_drop: relative."""
    nncf = prepared()

    def validate(compiled, items):
        outputs, labels = zip(*((_by_name(compiled(feed)), labels) for feed, labels in items))
        return score(
            {name: np.concatenate([one[name] for one in outputs]) for name in outputs[0]}, np.concatenate(labels)
        ), None

    with _silent():
        return nncf.quantize_with_accuracy_control(
            model,
            nncf.Dataset(feeds),
            nncf.Dataset(validation, lambda item: item[0]),
            validate,
            max_drop=max_drop,
            drop_type=nncf.DropType.RELATIVE,
            subset_size=len(feeds),
            **_options(nncf, "performance", transformer),
        )


def session(model, threads: int):
    """feed -> {output: array}, on the CPU; what is not int8 in float32."""
    import openvino

    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    return lambda feed: _by_name(request.infer(feed))


def _by_name(results):
    """{name: array}, copies, of what OpenVINO returns; an output may have several names."""
    return {name: value.copy() for port, value in results.items() for name in port.get_names()}


def _options(nncf, preset, transformer):
    return {
        "preset": nncf.QuantizationPreset(preset),
        "model_type": nncf.ModelType.TRANSFORMER if transformer else None,
    }


@contextlib.contextmanager
def _silent():
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
