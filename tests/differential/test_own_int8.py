"""int8 tensors of the network's own are integers: that x86 stores codes as u8 = s8 + 128 is no business of theirs."""

import sys
from pathlib import Path

import numpy as np
from onnx import TensorProto

from octet.passes.lower.batch.stretches import plan_stretches
from octet.passes.lower.build import build_variant
from octet.targets import detect
from octet.targets.runtime import Session

sys.path.insert(0, str(Path(__file__).parent))
from graphs import answers, check, imported, make

RNG = np.random.default_rng(3)
FEED = {
    "q": RNG.integers(-128, 128, (2, 5, 6)).astype(np.int8),
    "i": RNG.integers(-7, 7, (2, 3)),
    "x": (RNG.standard_normal((2, 5, 6)) * 40).astype(np.float32),
}
FEED["q"][0, 0, :2] = -128, 127
CONSTANTS = {
    "c": RNG.integers(-128, 128, (2, 5, 6)).astype(np.int8),
    "t": RNG.integers(-128, 128, (7, 4)).astype(np.int8),
    "pads": np.array([0, 1, 1, 0, 1, 1]),
    "first": np.array([3]),
    "last": np.array([9]),
    "axis": np.array([1]),
    "image": np.array([2, 5, 2, 3]),
    "fill": np.int8(-7),
}
NODES = [
    ("Cast", "q", "cast", {"to": TensorProto.FLOAT}),
    ("Abs", "q", "abs", {}),
    ("Less", "q c", "less", {}),
    ("Max", "q c", "max", {}),
    ("Add", "q c", "sum", {}),
    ("Concat", "q c", "joined", {"axis": 1}),
    ("Slice", "joined first last axis", "part", {}),
    ("Cast", "part", "part_cast", {"to": TensorProto.FLOAT}),
    ("Gather", "t i", "looked", {}),
    ("Cast", "looked", "looked_cast", {"to": TensorProto.FLOAT}),
    ("Identity", "q", "same", {}),
    ("Identity", "t", "fixed", {}),
    ("Transpose", "q", "turned", {"perm": [0, 2, 1]}),
    ("Neg", "turned", "turned_neg", {}),
    ("Pad", "q pads fill", "padded", {}),
    ("Cast", "x", "narrow", {"to": TensorProto.INT8}),
    ("Mul", "narrow c", "product", {}),
    ("Reshape", "q image", "pixels", {}),
    ("Equal", "pixels pixels", "equal", {}),
    ("ReduceMax", "q", "largest", {"axes": [2], "keepdims": 0}),
]
OUTPUTS = (
    dict.fromkeys(("cast", "part_cast", "looked_cast"), "float32")
    | dict.fromkeys(("less", "equal"), "bool")
    | dict.fromkeys(
        (
            "abs",
            "max",
            "sum",
            "joined",
            "part",
            "looked",
            "same",
            "fixed",
            "turned",
            "turned_neg",
            "padded",
            "narrow",
            "product",
            "pixels",
            "largest",
        ),
        "int8",
    )
)


def test_every_operator_sees_the_integers():
    check(make(NODES, FEED, OUTPUTS, CONSTANTS), FEED)


def test_pooling():
    image = RNG.integers(-128, 128, (1, 3, 4, 6)).astype(np.int8)
    proto = make(
        [
            ("MaxPool", "x", "y", {"kernel_shape": [2, 2], "strides": [2, 2]}),
            ("Cast", "y", "z", {"to": TensorProto.FLOAT}),
        ],
        {"x": image},
        {"y": "int8", "z": "float32"},
    )
    largest = image.reshape(1, 3, 2, 2, 3, 2).max(axis=(3, 5))
    check(proto, {"x": image}, {"y": largest, "z": largest.astype(np.float32)})


def test_in_parts_of_a_batch():
    """Both ways of storing cross from one piece to the next, and lie at the caller."""
    proto = make(NODES, FEED, OUTPUTS, CONSTANTS)
    model, want = imported(proto), answers(proto, FEED)
    variant = build_variant(
        model.module, detect.native(), model.inputs, model.outputs, choose=lambda found: plan_stretches(found, l2=64)
    )
    got = Session(variant, 1).run(FEED)
    for name, wanted in want.items():
        np.testing.assert_array_equal(got[name], wanted, err_msg=name)
