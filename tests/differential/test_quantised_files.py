"""Networks that come quantised, layer by layer: Octet's integers are those of the file, within one step a layer.

The whole network runs once in Octet's integer graph, with every tensor of integers as a result. Each layer of the file
is then computed from Octet's own integers in front of it by ONNX's evaluator (and by ONNX Runtime where it is
installed), and what Octet has behind it may differ by one step. That the results show what happens in the network as it
is, and not one that was changed by looking, its own results say: they are the same bytes.

OCTET_DIFFERENTIAL=500 runs that many seeds; OCTET_DIFFERENTIAL_FIRST=1000 is the first of them."""

import os
import re
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import octet
from octet.passes.calibrate.given_quantizers import given_hub
from octet.passes.export.evaluate import evaluate
from octet.passes.export.onnx_qdq import export_qdq
from octet.passes.pipeline import canonicalize
from octet.passes.realize.realize import realize
from octet.passes.referee import reference
from octet.targets.batches import meant
from octet.tools.building.referee import compare_with_referee

sys.path.insert(0, str(Path(__file__).parent))
from graphs import imported
from quantised_files import by_evaluator, by_onnx_runtime, cut, exposed, quantised
from random_generator import generate
from random_layers import EVERY, LAYERS
from random_operators import power, roots

COUNT, FIRST = (
    int(os.environ.get(name, default))
    for name, default in (("OCTET_DIFFERENTIAL", 12), ("OCTET_DIFFERENTIAL_FIRST", 0))
)

# A power or a logarithm of 0 is infinite, which the evaluator quantises to any integer.
FINITE = [operator for operator in EVERY if operator not in (power, roots)]


def answers(proto, feed):
    """{result: array} of Octet's integer graph, and its layers."""
    model = imported(proto)
    realized = realize(given_hub(model).module)
    given = {spec.name: np.asarray(feed[spec.name]).astype(spec.dtype) for spec in model.inputs}
    found = reference.run(realized.module, given, evaluate)
    return meant(model.outputs, dict(zip([spec.name for spec in model.outputs], found, strict=True)))


def values_of(proto, codes, feed):
    """{codes: array} of the file by ONNX's evaluator."""
    whole = onnx.ModelProto.FromString(proto.SerializeToString())
    del whole.graph.output[:]
    whole.graph.output.extend(onnx.ValueInfoProto(name=name) for name in codes)
    return by_evaluator(whole, feed)


def check_layers(proto, codes, feed, by=by_evaluator):
    """Asserts that each layer is right within one step; the greatest differences of the layers, in steps."""
    values = values_of(proto, codes, feed)
    seen = answers(exposed(proto, codes, values), feed)
    for name, array in answers(proto, feed).items():
        assert array.tobytes() == seen[name].tobytes(), f"{name} is another where the integers are results"
    layers = cut(proto, codes, values)
    wanted = by(layers, feed | {name: seen[name] for name in codes})
    steps = {}
    for name in codes:
        mine, theirs = seen[name], wanted[f"{name}.computed"]
        assert mine.shape == theirs.shape and mine.dtype == theirs.dtype, name
        steps[name] = int(np.abs(mine.astype(np.int32) - theirs.astype(np.int32)).max(initial=0))
    assert max(steps.values(), default=0) <= 1, {name: most for name, most in steps.items() if most > 1}
    return steps


@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
@pytest.mark.parametrize("kind", ["layers", "every"])
def test_each_layer_is_the_files_within_one_step(kind, seed):
    check_layers(*_file(kind, seed))


@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
def test_each_layer_is_onnx_runtimes_within_one_step(seed):
    pytest.importorskip("onnxruntime")
    check_layers(*_file("layers", seed), by_onnx_runtime)


@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT, 4))
def test_packages_give_the_bytes_of_the_integer_graph(seed):
    quantized = _given("every", seed)
    compare_with_referee(quantized, octet.compile(quantized, policy="int8"))


@pytest.mark.parametrize("codes", ["int8", "uint8"])
@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
def test_written_out_and_read_again_they_are_the_same_network(tmp_path, seed, codes):
    quantized, feed = _given("layers", seed), _file("layers", seed)[2]
    export_qdq(quantized, tmp_path / "qdq.onnx", codes)
    again = octet.quantize(canonicalize(octet.load_onnx(tmp_path / "qdq.onnx")))
    inputs = {spec.name: np.asarray(feed[spec.name]).astype(spec.dtype) for spec in quantized.model.inputs}
    first, second = (reference.run(realize(hub.module).module, inputs, evaluate) for hub in (quantized, again))
    assert [array.tobytes() for array in first] == [array.tobytes() for array in second]


def test_a_layer_of_another_scale_is_noticed():
    """Codes of half the size are those of no file that was read."""
    proto, codes, feed = next(found for seed in range(9) if len((found := _file("layers", seed))[1]) > 3)

    def another(layers, given):
        changed = onnx.ModelProto.FromString(layers.SerializeToString())
        scale = next(each for each in changed.graph.initializer if each.name == f"{codes[-1].removesuffix('.q')}.s")
        scale.CopyFrom(numpy_helper.from_array(np.float32(2) * numpy_helper.to_array(scale), scale.name))
        return by_evaluator(changed, given)

    with pytest.raises(AssertionError, match=re.escape(codes[-1])):
        check_layers(proto, codes, feed, another)


def _given(kind, seed):
    """The hub of a file."""
    return octet.quantize(imported(_file(kind, seed)[0]))


def _file(kind, seed):
    """(ModelProto, its tensors of integers, one run's inputs)."""
    case = generate(f"quantised {kind} {seed}", LAYERS if kind == "layers" else FINITE)
    return *quantised(case, f"{kind} {seed}"), case.feed
