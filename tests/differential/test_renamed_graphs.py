"""A random network under random names gives the bytes that it gives under its own."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

import octet
from octet.targets.errors import UnsupportedModelError
from octet.targets.opening import open_session

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "end_to_end"))
from graphs import imported
from random_generator import generate
from random_layers import EVERY, LAYERS
from renaming import at_random

COUNT, FIRST = (
    int(os.environ.get(name, default)) for name, default in (("OCTET_DIFFERENTIAL", 4), ("OCTET_DIFFERENTIAL_FIRST", 0))
)


def renamed(proto: onnx.ModelProto, name):
    """(the network with every value and node called anew, {old: new})."""
    made, names = onnx.ModelProto(), {}
    made.CopyFrom(proto)
    graph = made.graph
    values = [each.name for each in (*graph.input, *graph.initializer)] + [
        out for node in graph.node for out in node.output if out
    ]
    for number, value in enumerate(values):
        names[value] = name("value", number)
    for each in (*graph.input, *graph.output, *graph.initializer):
        each.name = names[each.name]
    for number, node in enumerate(graph.node):
        node.name = name("node", number)
        for side in (node.input, node.output):
            side[:] = [names[value] if value else "" for value in side]
    return made, names


@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
def test_bytes(seed):
    case = generate(f"int8 {seed}", [*EVERY, *LAYERS, *LAYERS])
    proto, names = renamed(case.proto, at_random(seed))
    assert set(names.values()) != set(names) and len(set(names.values())) == len(names)

    def compiled(model, called):
        samples = {called[name]: array for name, array in case.samples.items()}
        quantized = octet.quantize(imported(model), samples, octet.Recipe(calibrator="max"))
        variant = octet.compile(quantized, targets="native", trials=0).variants[0]
        found = open_session(variant, 1).run({called[name]: array for name, array in case.feed.items()})
        decisions = [replace(decision, name="") for decision in quantized.decisions]
        return [array.tobytes() for array in found.values()], variant.weights.tobytes(), decisions, quantized.qparams

    try:
        plain = compiled(case.proto, {name: name for name in case.samples})
    except UnsupportedModelError:
        pytest.skip("refused by one line")
    assert compiled(proto, names) == plain
