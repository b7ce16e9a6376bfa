"""The tutorials (docs/tutorials.md), run as they stand there: every block of a section in one folder and one Python
namespace, on small networks in place of the reader's."""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper
from tvm import rpc

from octet.tools.main import main

from .. import language_network

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "tutorials.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+)\n([\s\S]*?)(?=^## |\Z)", TEXT, re.M))
OCTET = (sys.executable, "-c", "from octet.tools.main import main; main()")


class Reader:
    """Who does what a section says, in a folder."""

    def __init__(self, folder):
        self.folder, self.names, self.running = folder, {"__name__": "tutorial"}, []

    def follow(self, title, **other):
        """other: what stands for a word of the section on this machine."""
        body = SECTIONS[title]
        for word, value in other.items():
            assert word in body
            body = body.replace(word, value)
        for kind, text in re.findall(r"^```(\w+)\n([\s\S]*?)^```$", body, re.M):
            getattr(self, kind)(text)

    def python(self, text):
        exec(compile(text, "docs/tutorials.md", "exec"), self.names)

    def c(self, text):
        (self.folder / re.match(r"/\* (\S+) \*/", text)[1]).write_text(text)

    def sh(self, text):
        for line in text.splitlines():
            words = shlex.split(line)
            if words[-1] == "&":
                command = (*OCTET, *words[1:-1]) if words[0] == "octet" else (sys.executable, *words[1:-1])
                self.running.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
                self.wait(words)
            elif words[0] == "octet":
                done = CliRunner().invoke(main, words[1:], catch_exceptions=False)
                assert done.exit_code == 0, f"{line}\n{done.output}"
            else:
                subprocess.run(words, check=True, timeout=60)

    def wait(self, words):
        """Until a server that goes on in the background is there: a tracker's port answers, a worker is known to it."""
        end = time.monotonic() + 60
        while not (listens(words) if "--port" in words else registered(words)):
            assert time.monotonic() < end and self.running[-1].poll() is None, f"it is not there: {words}"
            time.sleep(0.1)

    def leave(self):
        for process in self.running:
            import psutil

            # TVM's tracker leaves its own process group.
            started = [process, *psutil.Process(process.pid).children(recursive=True)]
            for one in started:
                one.kill()
            process.wait()
            process.stdout.close()


def listens(words):
    try:
        socket.create_connection(("127.0.0.1", int(words[words.index("--port") + 1])), 1).close()
    except OSError:
        return False
    return True


def registered(words):
    host, port = words[words.index("--tracker") + 1].split(":")
    return bool(rpc.connect_tracker(host, int(port)).summary()["server_info"])


@pytest.fixture
def reader(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    found = Reader(tmp_path)
    yield found
    found.leave()


def save(path, nodes, inputs, outputs, *tensors):
    """inputs, outputs: {name: shape}, float32."""
    sides = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in side.items()]
        for side in (inputs, outputs)
    ]
    graph = helper.make_graph(nodes, path.stem, *sides, tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def write_detector(folder):
    """detector.onnx: [1, 3, 32, 32] -> 16 places with a box and the scores of two classes. images.npz: inputs of it."""
    rng = np.random.default_rng(0)
    arrays = {
        "w1": rng.standard_normal((8, 3, 8, 8)).astype(np.float32) / 8,
        "w2": rng.standard_normal((6, 8, 1, 1)).astype(np.float32),
        "extents": np.array([1, 6, 16]),
        "parts": np.array([4, 2]),
    }
    nodes = [
        helper.make_node("Conv", ["image", "w1"], ["a"], strides=[8, 8]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "w2"], ["c"]),
        helper.make_node("Reshape", ["c", "extents"], ["d"]),
        helper.make_node("Split", ["d", "parts"], ["boxes", "logits"], axis=1),
        helper.make_node("Sigmoid", ["logits"], ["scores"]),
        helper.make_node("Concat", ["boxes", "scores"], ["places"], axis=1),
    ]
    tensors = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    save(folder / "detector.onnx", nodes, {"image": (1, 3, 32, 32)}, {"places": (1, 6, 16)}, *tensors)
    np.savez(folder / "images.npz", image=rng.random((32, 3, 32, 32), np.float32))


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """A folder in which the section on detectors was followed."""
    folder = tmp_path_factory.mktemp("detector")
    write_detector(folder)
    here = os.getcwd()
    os.chdir(folder)
    try:
        Reader(folder).follow("A detector")
    finally:
        os.chdir(here)
    return folder


@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed (pip install 'octet[train]')")
def test_from_pytorch(reader):
    reader.follow("From PyTorch to a package in ten lines")


def test_a_sentence_encoder(reader):
    language_network.write(reader.folder / "encoder.onnx")
    np.savez(reader.folder / "calib.npz", **language_network.samples(32, 16, shortest=4))
    reader.follow("A sentence encoder")


def test_a_detector(detector, capsys):
    assert (detector / "detector.octet").is_file()


def test_deploy_from_c(reader, detector, capfd):
    shutil.copy(detector / "detector.octet", reader.folder / "model.octet")
    reader.follow("Deploy from C")
    assert capfd.readouterr().out == "places: 384 bytes\n"


@pytest.mark.skipif(
    "OCTET_SOAK" not in os.environ, reason="a tracker, a worker and a session of tuning: set OCTET_SOAK=1 (make soak)"
)
def test_tune_a_fleet(reader):
    """A network of one kernel."""
    weight = numpy_helper.from_array(np.eye(16, 8, dtype=np.float32), "w")
    save(
        reader.folder / "model.onnx",
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        {"x": (4, 16)},
        {"y": (4, 8)},
        weight,
    )
    np.savez(reader.folder / "calib.npz", x=np.random.default_rng(0).random((16, 16), np.float32))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    reader.follow("Tune a fleet", **{"9291": str(port + 1), "9290": str(port)})
    assert (reader.folder / "tuning.db").is_file() and (reader.folder / "model.octet").is_file()


def test_every_tutorial_is_followed():
    followed = set(re.findall(r'follow\("([^"]+)"', Path(__file__).read_text()))
    assert followed == set(SECTIONS) and all("```" in body for body in SECTIONS.values())
