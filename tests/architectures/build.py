"""Full-size networks as ONNX files with a few calibration samples beside them.

usage: python tests/architectures/build.py FOLDER [NAME ...]"""

import sys
from pathlib import Path

import numpy as np
import onnx

sys.path.insert(0, str(Path(__file__).parent))

import language
import layers
import vision

NETWORKS = vision.NETWORKS | language.NETWORKS | layers.NETWORKS


def samples(path, count=4, seed=0):
    """{input: array} of random inputs for an ONNX file: token numbers, masks that end early, images. A fixed batch
    repeats along the first axis."""
    rng, arrays = np.random.default_rng(seed), {}
    for value in onnx.load(path, load_external_data=False).graph.input:
        shape = [d.dim_value for d in value.type.tensor_type.shape.dim]
        shape = [count * shape[0], *shape[1:]]
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT:
            arrays[value.name] = rng.standard_normal(shape).astype("float32")
        elif "mask" in value.name:
            arrays[value.name] = (
                np.arange(shape[1]) < rng.integers(shape[1] // 2, shape[1] + 1, (shape[0], 1))
            ).astype("int64")
        else:
            arrays[value.name] = (
                rng.integers(0, 2, shape).astype("int64")
                if "type" in value.name
                else rng.integers(0, 100, shape).astype("int64")
            )
    return arrays


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or NETWORKS:
        NETWORKS[name](folder / f"{name}.onnx")
        np.savez(folder / f"{name}.npz", **samples(folder / f"{name}.onnx"))
        print(folder / f"{name}.onnx")
