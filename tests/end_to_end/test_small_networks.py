"""Networks with awkward numbers, and the exit status of a missed accuracy target."""

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

import octet
from octet.targets.batches import run_samples
from octet.tools.main import main


def network(path, weight, bias):
    """Relu(Conv(image [N, 3, 8, 8], weight) + bias), averaged over the picture: scores [N, channels]."""
    nodes = [
        helper.make_node("Conv", ["image", "weight", "bias"], ["conv"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("Conv", ["relu", "last"], ["mixed"]),
        helper.make_node("GlobalAveragePool", ["mixed"], ["pool"]),
        helper.make_node("Flatten", ["pool"], ["scores"]),
    ]
    last = np.eye(len(weight), dtype=np.float32)[:, :, None, None]
    arrays = {"weight": weight, "bias": bias, "last": last}
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, ("N", 3, 8, 8))]
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ("N", len(weight)))]
    graph = helper.make_graph(
        nodes, "small", inputs, outputs, [numpy_helper.from_array(v.astype(np.float32), k) for k, v in arrays.items()]
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def expected(weight, bias, images):
    """The network in float64."""
    padded = np.pad(images.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    return np.maximum(np.einsum("nchwij,ocij->nohw", windows, weight) + bias[:, None, None], 0).mean((2, 3))


RNG = np.random.default_rng(3)
WEIGHT = RNG.standard_normal((5, 3, 3, 3)).astype(np.float32)
BIAS = RNG.standard_normal(5).astype(np.float32)
IMAGES = RNG.standard_normal((16, 3, 8, 8)).astype(np.float32)


def zeroed(array, *index):
    array = array.copy()
    array[index] = 0
    return array


AWKWARD = {
    "ordinary": (WEIGHT, BIAS, IMAGES),
    "an all-zero output channel": (zeroed(WEIGHT, 2), zeroed(BIAS, 2), IMAGES),
    "a zero filter with a bias": (zeroed(WEIGHT, 2), BIAS, IMAGES),
    "an all-zero input channel": (WEIGHT, BIAS, zeroed(IMAGES, slice(None), 1)),
    "a constant input channel": (
        WEIGHT,
        BIAS,
        zeroed(IMAGES, slice(None), 1) + np.array([0, 0.7, 0], np.float32)[:, None, None],
    ),
    "channels of very different sizes": (
        WEIGHT * np.array([1e-6, 1e-3, 1, 1e3, 1e-9], np.float32)[:, None, None, None],
        BIAS * 0,
        IMAGES,
    ),
}


@pytest.mark.parametrize("case", AWKWARD)
def test_awkward_channels(case, tmp_path):
    weight, bias, images = AWKWARD[case]
    model = octet.load_onnx(network(tmp_path / "small.onnx", weight, bias))
    session = octet.compile(octet.quantize(model, {"image": images})).session()
    scores, wanted = run_samples(session, {"image": images})["scores"], expected(weight, bias, images)
    assert np.isfinite(scores).all()
    # With one scale per tensor the error is measured in steps of the largest channel.
    assert np.abs(scores - wanted).max() <= 0.02 * max(
        np.abs(wanted).max(), np.abs(images).max() * np.abs(weight).max()
    )


def test_batches_answer_as_single_samples(tmp_path):
    """With max calibration, whose ranges do not depend on how samples are grouped, the bytes are the same; the last
    batch is not full."""
    path, images = network(tmp_path / "small.onnx", WEIGHT, BIAS), {"image": IMAGES[:11]}
    hubs = [
        octet.quantize(octet.load_onnx(path, batch=batch), {"image": IMAGES}, octet.Recipe(calibrator="max"))
        for batch in (1, 4)
    ]
    sessions = [octet.compile(hub, policy="int8").session() for hub in hubs]
    assert [session.batch for session in sessions] == [1, 4]
    assert len({run_samples(session, images)["scores"].tobytes() for session in sessions}) == 1


def test_everything_zero(tmp_path):
    model = octet.load_onnx(network(tmp_path / "small.onnx", WEIGHT * 0, BIAS * 0))
    session = octet.compile(octet.quantize(model, {"image": IMAGES * 0})).session()
    assert (session.run({"image": IMAGES[:1]})["scores"] == 0).all()


def test_missed_accuracy_is_status_3_and_the_package_is_written(tmp_path):
    network(tmp_path / "small.onnx", WEIGHT, BIAS)
    labels = expected(WEIGHT, BIAS, IMAGES).argmax(1)
    np.savez(tmp_path / "val.npz", image=IMAGES, labels=labels)
    np.savez(tmp_path / "calib.npz", image=IMAGES[:1] * 1e-4)  # These ranges clip every real picture.
    arguments = [
        "compile",
        "small.onnx",
        "--calib",
        "calib.npz",
        "-o",
        "out.octet",
        "--validate",
        "val.npz",
        "--max-drop",
        "0.01",
    ]
    result = CliRunner().invoke(main, [str(tmp_path / a) if "." in a and a != "0.01" else a for a in arguments])
    assert result.exit_code == 3 and "accuracy target missed" in result.stdout
    assert octet.load(tmp_path / "out.octet").run({"image": IMAGES[:1]})
