"""Recurrent layers, loops elsewhere, on a GPU: their steps one behind the other give what the referee makes of the
loop, in int8 to the byte."""

import importlib.util
from pathlib import Path

import pytest
from cuda_harness import differences, emulator, nets

import octet
from octet.passes.annotate import matmul
from octet.passes.calibrate.quantize import quantize
from octet.passes.frontend.recurrent import layer as recurrent
from octet.passes.lower.merge_axes import MergeAxes
from octet.passes.pipeline import canonicalize, float_layers, to_integers
from octet.passes.referee import reference
from octet.passes.rewriting.loops import loops_of
from octet.passes.rewriting.unroll_loops import UnrollLoops
from octet.passes.running import run_passes

_spec = importlib.util.spec_from_file_location(
    "recurrent_nodes", Path(__file__).parents[1] / "frontend" / "test_recurrent.py"
)
_nodes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_nodes)
CASES = {
    "LSTM": {"direction": "bidirectional", "states": True},
    "GRU": {"linear_before_reset": 1},
    "RNN": {"direction": "reverse"},
}


def module_of(model, feed, dtype):
    if dtype == "float32":
        return run_passes(float_layers("fp32"), model.module)
    hub = quantize(
        model,
        {name: value[None] for name, value in feed.items()},
        executor_factory=lambda module: lambda one: reference.run(module, one),
        summaries=False,
    )
    return to_integers(hub)[1]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(the emulator, {(kind, dtype): (net, the module with its loop, inputs)})."""
    path, networks = tmp_path_factory.mktemp("loops") / "r.onnx", {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recurrent, "UNROLLED", 1)
        patch.setattr(matmul, "_FEW", 0)  # Products as small as these would stay in float.
        for kind, options in CASES.items():
            feed = _nodes.network(path, kind, **options)
            model = canonicalize(octet.load_onnx(path, batch="none"))
            networks |= {(kind, dtype): (module_of(model, feed, dtype), feed) for dtype in ("float32", "int8")}
    found = nets([MergeAxes()(UnrollLoops("a GPU")(module)) for module, _ in networks.values()])
    return emulator(found), {name: (net, *networks[name]) for name, net in zip(networks, found, strict=True)}


@pytest.mark.parametrize("dtype, tolerance", [("int8", None), ("float32", 1e-5)])
@pytest.mark.parametrize("kind", CASES)
def test_steps_in_a_row(made, kind, dtype, tolerance):
    machine, networks = made
    net, module, feed = networks[kind, dtype]
    assert loops_of(module)
    assert dtype == "float32" or any(step.dtype == "int8" and step.operator == "octet.dense" for step in net.steps)
    assert not differences(machine, net, module, feed, seeds=(0, 1), tolerance=tolerance)
