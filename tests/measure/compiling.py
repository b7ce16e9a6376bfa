"""What memory a network with large weights takes to compile: the sentence of docs/accuracy.md on external data.

usage: python tests/measure/compiling.py MEGABYTES...       (of float32 weights: linear layers of 2,048 units with ReLU)

A row is a `compile-model` of its own, without a cache: megabytes of the weights and of the most that was resident
(pages of the model's file that were read among them), and their ratio without what a network of 17 MB takes."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

WIDTH = 2048
LAYER = WIDTH * WIDTH * 4 / 1e6


def network(folder: Path, layers: int) -> Path:
    """Writes so many layers, with their weights as external data, and 64 samples."""
    rng, nodes, weights, last = np.random.default_rng(0), [], [], "x"
    for number in range(layers):
        matrix = rng.standard_normal((WIDTH, WIDTH), np.float32) * np.float32(np.sqrt(2 / WIDTH))
        weights.append(numpy_helper.from_array(matrix, f"w{number}"))
        nodes.append(helper.make_node("MatMul", [last, f"w{number}"], [f"product{number}"]))
        nodes.append(helper.make_node("Relu", [f"product{number}"], [last := f"y{number}"]))
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", WIDTH]) for name in ("x", last)]
    model = helper.make_model(
        helper.make_graph(nodes, "network", ends[:1], ends[1:], weights),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    path = folder / "network.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location="network.data")
    np.savez(folder / "calib.npz", x=rng.standard_normal((64, WIDTH), np.float32))
    return path


def peak(layers: int) -> float:
    """Megabytes that compiling such a network takes at most."""
    with tempfile.TemporaryDirectory() as folder:
        path = network(Path(folder), layers)
        command = [Path(sys.executable).parent / "compile-model", path, "--calib", path.parent / "calib.npz"]
        process = subprocess.Popen(
            [*map(str, command), "--no-cache", "-o", f"{folder}/network.octet"], stdout=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"compile-model ended with status {os.waitstatus_to_exitcode(status)}")
        return usage.ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    small = peak(1)
    for megabytes in map(int, sys.argv[1:]):
        layers = max(1, round(megabytes / LAYER))
        most = peak(layers)
        print(
            f"{layers * LAYER:,.0f} MB of weights: {most:,.0f} MB, {(most - small) / ((layers - 1) * LAYER):.1f} times"
        )
