"""compile-model --policy: slower in int8 stays in float, and the summary says so by layer."""

import json
from functools import partial

import pytest

from octet import api
from octet.targets import detect
from octet.targets.errors import OctetError
from octet.targets.registry import find
from octet.tools.building import packages, policy, region_times
from octet.tools.building.options import BuildOptions
from octet.tools.commands.decision_tables import print_policy
from octet.tools.console import out
from octet.tools.reporter import Reporter

from ..policy.conftest import alternating, quantize  # noqa: F401 - a fixture


@pytest.fixture(scope="module")
def lone(quantize):  # noqa: F811
    return quantize(partial(alternating, groups=32))


def build(quantized, counts):
    def made(modules, spec, tune=True):
        counts.append(tune)
        return tuple(
            policy_build(module, spec, quantized.model.inputs, quantized.model.outputs, "net") for module in modules
        )

    from octet.passes.lower.build import build_variant as policy_build

    return made


def built(hub, specs, build, name, decided=None, trials=0):
    options = BuildOptions(policy=name, threads=1, trials=trials)
    return policy.build_by_policy(hub, specs, build, options, Reporter(), decided)


@pytest.mark.parametrize("target", ["amx", "x86-64-v3"])
def test_int8_leaves_nothing_in_float(lone, target):
    made = built(lone, (find(target),), build(lone, []), "int8")
    assert made.report is None and sum(layer.dtype == "int8" for layer in made.realized.layers) == 2


def test_measured_times_decide(lone, monkeypatch):
    """Float's kernels are taken for ten times as fast as they are measured: the layers go, with the two times of
    each."""
    measured, counts = region_times.measured_times, []
    faster = lambda *args: (
        (t := measured(*args)) and type(t)(t.int8, tuple(s / 10 for s in t.float), t.quantize, t.dequantize)
    )
    monkeypatch.setattr(policy, "measured_times", faster)
    monkeypatch.setattr(policy, "compare_times", lambda *args: {"int8_ms": 2.0, "chosen_ms": 1.0})
    made = built(lone, (detect.native(),), build(lone, counts), "fastest", trials=1)
    assert counts == [True, False, True], "in int8; all in float, for the times only; as chosen"
    assert {layer["name"] for layer in made.report["layers"]} == {"conv0", "conv1"} and made.report["how"] == "measured"
    assert all(layer["int8_us"] > layer["float_us"] > 0 for layer in made.report["layers"])
    assert not any(layer.dtype == "int8" for layer in made.realized.layers)
    again = built(
        lone,
        (detect.native(),),
        build(lone, []),
        "fastest",
        json.loads(json.dumps(made.report)),
    )
    assert [one.weights.tobytes() for (one,) in again.variants] == [one.weights.tobytes() for (one,) in made.variants]
    assert [one.library for (one,) in again.variants] == [
        one.library for (one,) in made.variants
    ] and again.quantized.decisions == made.quantized.decisions
    with pytest.raises(OctetError, match="regions in float that this network does not have"):
        built(
            lone,
            (detect.native(),),
            build(lone, []),
            "fastest",
            {"layers": [{"region": 99}]},
        )
    reasons = {
        entry["name"]: entry["reason"]
        for entry in packages._operators(made.quantized.decisions, made.realized.layers)["reasons"]
    }
    assert "faster in float" in reasons["conv0"] and "measured" in reasons["conv0"]


def test_a_network_that_is_not_faster_stays(lone, monkeypatch):
    measured = region_times.measured_times
    monkeypatch.setattr(
        policy,
        "measured_times",
        lambda *args: (t := measured(*args)) and type(t)(t.int8, (0.0,) * len(t.float), t.quantize, t.dequantize),
    )
    monkeypatch.setattr(policy, "compare_times", lambda *args: {"int8_ms": 1.0, "chosen_ms": 1.0})
    made = built(lone, (detect.native(),), build(lone, []), "fastest", trials=1)
    assert made.quantized is lone and made.report["layers"] == [] and len(made.report["rejected"]) == 2


def test_the_cost_model_speaks_up_only_when_it_is_clear(quantize, capsys):  # noqa: F811
    spec = find("x86-64-v3")
    small = quantize(partial(alternating, groups=32))
    assert built(small, (spec,), build(small, []), "fastest").report["layers"] == []
    large = quantize(partial(alternating, groups=32, layers=8))
    assert built(large, (find("avx512vnni"),), build(large, []), "fastest").report["layers"] == []
    monkey = policy._CLEAR_SECONDS
    policy._CLEAR_SECONDS = 1e-6
    try:
        made = built(large, (spec,), build(large, []), "fastest")
    finally:
        policy._CLEAR_SECONDS = monkey
    assert len(made.report["layers"]) == 8 and made.report["how"] == "cost model"
    print_policy(out(), made.report)
    shown = capsys.readouterr().out
    assert "faster in float (cost model, x86-64-v3)" in shown and "conv7" in shown and "conversions" in shown


def test_an_unknown_policy():
    with pytest.raises(OctetError, match="policy 'slowest' is unknown"):
        api.compile(None, policy="slowest")
