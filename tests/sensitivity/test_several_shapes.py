"""What is repaired for the first shape is repaired for all: they have the same weights."""

import numpy as np
from tvm import ir

import octet
from octet.passes.annotate import Recipe
from octet.passes.pipeline import canonicalize
from octet.passes.sensitivity.bench import Bench
from octet.passes.sensitivity.design import Design

from .. import language_network


def constants(module):
    """{variable: its int8 and bias constants}."""
    found = {}
    for binding in module["main"].body.blocks[0].bindings:
        arrays = [arg.value.numpy() for arg in getattr(binding.value, "args", ()) if isinstance(arg, ir.GenericConst)]
        found[binding.var.name] = [a for a in arrays if a.dtype == np.int8 or a.ndim == 1 and a.dtype == np.float32]
    return found


def test_scaling_rounding_and_biases_reach_every_shape(tmp_path):
    path = language_network.write(tmp_path / "language.onnx")
    samples = language_network.samples(12, 12, shortest=6)
    model = octet.load_onnx(path, dims={"sequence": [8, 12]}, data=samples)
    bench = Bench(canonicalize(model), samples, threads=1)
    plain = constants(bench.hub(Design(Recipe())).module)
    for design in (Design(Recipe(), scaling="migrate-0.5"), Design(Recipe(), rounding=True, biases=True)):
        hub = bench.hub(design)
        (other,) = hub.others
        assert [tuple(one.model.inputs[0].shape) for one in hub.shapes] == [(1, 12), (1, 8)]
        mine, theirs = constants(hub.module), constants(other.module)
        assert mine.keys() == theirs.keys()
        for name in mine:
            assert all(np.array_equal(a, b) for a, b in zip(mine[name], theirs[name], strict=True)), name
        assert any(
            not np.array_equal(a, b)
            for name in mine
            if name in plain
            for a, b in zip(mine[name], plain[name])
            if a.shape == b.shape
        ), "nothing was repaired"
