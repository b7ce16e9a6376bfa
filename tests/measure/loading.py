"""What a network takes from the file to its first answer, and after it: the table of docs/deploy.md.

usage: python tests/measure/loading.py FOLDER NAME...       (FOLDER/NAME.onnx, FOLDER/NAME.npz: build.py writes both)

A row is a process of its own on one core: CPU milliseconds from opening the file to the first answer (imports left out)
and of a run (the median of 50), megabytes resident after the first answer and, in brackets, what loading added. Peers
that are installed take part."""

import ctypes
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

ROWS = {
    "Octet int8, exported library": ("library", "c/libnet.so"),
    "Octet int8, `--mmap`": ("library", "mmap/libnet.so"),
    "Octet int8, Python": ("octet", "octet"),
    "ONNX Runtime int8 (the QDQ file of `octet quantize`)": ("onnxruntime", "qdq.onnx"),
    "OpenVINO int8 (the same)": ("openvino", "qdq.onnx"),
    "ONNX Runtime fp32": ("onnxruntime", "onnx"),
    "OpenVINO fp32": ("openvino", "onnx"),
}


class Bytes(ctypes.Structure):
    """net_source and net_sink, and the first fields of net_tensor behind its shape."""

    _fields_ = [("data", ctypes.c_void_p), ("bytes", ctypes.c_size_t)]


class Tensor(ctypes.Structure):
    """net_tensor, as far as its size in bytes."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("rank", ctypes.c_int32),
        ("shape", ctypes.c_void_p),
        ("elements", ctypes.c_size_t),
        ("bytes", ctypes.c_size_t),
    ]


def library(path: Path, arrays: dict[str, np.ndarray]) -> Callable[[], object]:
    """An exported library; its inputs are in the order of its header."""
    net = ctypes.CDLL(str(path))
    net.net_input.restype = net.net_output.restype = ctypes.POINTER(Tensor)

    def tensors(of: Callable) -> list:
        found = [of(0, index) for index in range(16)]
        return [each.contents for each in found if each]

    given = [arrays[each.name.decode()] for each in tensors(net.net_input)]
    made = [np.empty(each.bytes, "uint8") for each in tensors(net.net_output)]
    sources, sinks = (
        (Bytes * len(group))(*(Bytes(array.ctypes.data, array.nbytes) for array in group)) for group in (given, made)
    )
    session = ctypes.c_void_p()
    os.chdir(path.parent)
    assert net.net_create(None, ctypes.byref(session)) == 0

    def run() -> object:
        assert net.net_run(session, sources, sinks) == 0
        return given, made  # The addresses are theirs.

    return run


def octet(path: Path, arrays: dict[str, np.ndarray]) -> Callable[[], object]:
    """A session of Python."""
    from octet.targets.package import load

    session = load(str(path), threads=1)
    return lambda: session.run(arrays)


def onnxruntime(path: Path, arrays: dict[str, np.ndarray]) -> Callable[[], object]:
    """One thread."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, arrays)


def openvino(path: Path, arrays: dict[str, np.ndarray]) -> Callable[[], object]:
    """One thread, for latency; what is float is computed in float32, as `octet bench` has it."""
    import openvino as ov

    options = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = ov.Core().compile_model(str(path), "CPU", options).create_infer_request()
    return lambda: request.infer(arrays)


OPENERS = {each.__name__: each for each in (library, octet, onnxruntime, openvino)}
IMPORTS = {"octet": "octet.targets.package", "onnxruntime": "onnxruntime", "openvino": "openvino"}


def resident() -> float:
    """Megabytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def child(how: str, path: Path, samples: Path) -> dict[str, float]:
    """The figures of a row."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with np.load(samples) as file:
        arrays = {name: np.ascontiguousarray(file[name][:1]) for name in file}
    if how in IMPORTS:
        __import__(IMPORTS[how])
    before, start = resident(), time.process_time()
    run = OPENERS[how](path, arrays)
    run()
    loaded, memory = time.process_time() - start, resident()
    times = []
    for _ in range(50):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return {"load": loaded * 1e3, "run": statistics.median(times) * 1e3, "memory": memory, "added": memory - before}


def prepared(model: Path) -> None:
    """The package, the exported libraries and the QDQ file beside the model, as far as they are not there."""
    command, calib, package = (
        Path(sys.executable).with_name("octet"),
        model.with_suffix(".npz"),
        model.with_suffix(".octet"),
    )
    folder = model.with_suffix("")
    for made, words in (
        (package, ("compile", model, "--calib", calib, "--no-repair", "-o", package)),
        (model.with_suffix(".qdq.onnx"), ("quantize", model, "--calib", calib, "-o", model.with_suffix(".qdq.onnx"))),
        (folder / "c", ("export", package, "--name", "net", "-o", folder / "c")),
        (folder / "mmap", ("export", package, "--name", "net", "--mmap", "-o", folder / "mmap")),
    ):
        folder.mkdir(exist_ok=True)
        if not made.exists():
            subprocess.run([command, *map(str, words)], check=True, stdout=subprocess.DEVNULL)


def main(folder: str, *names: str) -> None:
    """Prints the table, a network behind the other."""
    for name in names:
        model = Path(folder).resolve() / f"{name}.onnx"
        prepared(model)
        print(f"\n| {name} | load, CPU ms | a run, CPU ms | memory, MB |\n|---|---|---|---|")
        for title, (how, where) in ROWS.items():
            if how in ("onnxruntime", "openvino") and not find_spec(how):
                continue
            path = model.with_suffix("") / where if how == "library" else model.with_suffix(f".{where}")
            words = [sys.executable, __file__, "--child", how, path, model.with_suffix(".npz")]
            found = json.loads(subprocess.run(list(map(str, words)), check=True, capture_output=True).stdout)
            print("| {} | {load:.3g} | {run:.3g} | {memory:.0f} ({added:.0f}) |".format(title, **found), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "--child":
        print(json.dumps(child(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))))
    else:
        main(*sys.argv[1:])
