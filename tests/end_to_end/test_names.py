"""No answer depends on a name: a renamed network gives the same bytes, statistics, decisions and report rows, each of
the layer that it belongs to."""

import sys
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

import octet
from octet.passes import ops
from octet.passes.calibrate import store
from octet.passes.policy.regions import regions_of
from octet.passes.policy.release_float import ReleaseFloat
from octet.passes.realize.realize import realize
from octet.targets.npz import npz_bytes
from octet.targets.opening import open_session
from octet.targets.registry import TARGETS
from octet.tools.main import main
from octet.tuning.database import key_of
from octet.tuning.tasks import tasks_of_variant

sys.path.insert(0, str(Path(__file__).resolve().parent))
from renaming import at_random, distinct, equal_nodes, network, samples, unnamed

SCHEMES = {
    "equal nodes": equal_nodes,
    "no nodes": unnamed,
    **{f"at random, {seed}": at_random(seed) for seed in range(1)},
}


class Compiled:
    """A network under the names of a scheme: the hub, the package, and what its layers are called."""

    def __init__(self, scheme, folder):
        self.folder = folder
        onnx.save(network(scheme), folder / "renamed.onnx")
        self.model = octet.load_onnx(folder / "renamed.onnx")
        (self.input,), self.outputs = self.model.inputs, [spec.name for spec in self.model.outputs]
        assert (self.input.name, self.outputs) == (scheme("input", 0), [scheme("output", 0), scheme("output", 1)]), (
            "the user's names are ONNX's"
        )
        self.quantized = octet.quantize(self.model, {self.input.name: samples(8)}, octet.Recipe(calibrator="max"))
        self.package = octet.compile(self.quantized, targets="x86-64-v3", trials=0)

    def names(self):
        """Every identity of the canonical network and of its hub, in program order."""
        modules = (self.quantized.model.module, self.quantized.module)
        return [
            var.name
            for module in modules
            for var in (
                *module["main"].params,
                *(b.var for block in module["main"].body.blocks for b in block.bindings),
            )
        ]

    def run(self):
        found = open_session(self.package.variants[0], threads=1).run({self.input.name: samples(8)[:1]})
        return [found[name].tobytes() for name in self.outputs]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return Compiled(distinct, tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module", params=SCHEMES)
def renamed(request, tmp_path_factory):
    return Compiled(SCHEMES[request.param], tmp_path_factory.mktemp("renamed"))


@pytest.fixture(scope="module")
def same(plain, renamed):
    """{identity: identity of the same layer in the renamed network}."""
    mapping = dict(zip(plain.names(), renamed.names(), strict=True))
    assert len(set(mapping.values())) == len(mapping), "each is its own"
    return mapping | {"": ""}


def test_bytes(plain, renamed):
    assert renamed.run() == plain.run()
    one, two = plain.package.variants[0], renamed.package.variants[0]
    assert np.array_equal(one.weights, two.weights) and one.arena_bytes == two.arena_bytes


def test_statistics(plain, renamed, same):
    for one, two in zip(plain.quantized.edges, renamed.quantized.edges, strict=True):
        assert replace(two, tensor="") == replace(one, tensor="")
        assert one.spec == "weight" or two.tensor == same[one.tensor]
    assert plain.quantized.qparams == renamed.quantized.qparams
    for edge, one in plain.quantized.statistics.items():
        two = renamed.quantized.statistics[edge]
        assert (two.count, two.zeros, two.range, two.top) == (
            one.count,
            one.zeros,
            one.range,
            one.top,
        ) and np.array_equal(two.histogram, one.histogram)


def test_stored_statistics(tmp_path):
    """Out of one cache for two namings, and of shards that are merged."""

    def calibrate(written, *arguments, cache="cache"):
        done = CliRunner().invoke(
            main, ["calibrate", *map(str, arguments), "--cache", str(tmp_path / cache), "-o", str(tmp_path / written)]
        )
        assert done.exit_code == 0, done.output
        return [
            (s.count, s.zeros, s.range, s.top, s.histogram.tobytes())
            for s in store.load(tmp_path / written)[1].values()
        ]

    found = []
    for scheme in (distinct, at_random(1)):
        onnx.save(network(scheme), tmp_path / "model.onnx")
        (tmp_path / "data.npz").write_bytes(npz_bytes({scheme("input", 0): samples(8)}))
        asked = (tmp_path / "model.onnx", "--calib", tmp_path / "data.npz")
        found.append(calibrate("whole.npz", *asked))
    for shard in "12":
        calibrate(f"{shard}.npz", *asked, "--shard", f"{shard}/2", cache="other")
    found.append(calibrate("merged.npz", "--merge", tmp_path / "2.npz", "--merge", tmp_path / "1.npz"))
    assert found[0] == found[1] == found[2]


def test_tuning_tasks(plain, renamed):
    """What records are found by: one that was tuned under other names serves."""
    spec = TARGETS["x86-64-v3"]
    one, two = (tasks_of_variant(compiled.package.variants[0], spec) for compiled in (plain, renamed))
    assert one == two and [key_of(task.workload, spec) for task in one] == [key_of(task.workload, spec) for task in two]


def test_decisions(plain, renamed, same):
    assert [replace(d, name=same[d.name]) for d in plain.quantized.decisions] == list(renamed.quantized.decisions)


def test_regions(plain, renamed, same):
    one, two = (regions_of(compiled.quantized.module) for compiled in (plain, renamed))
    assert {same[name]: number for name, number in one.of_layer.items()} == two.of_layer
    assert [layer.bound and astuple(layer.bound) for layer in realize(plain.quantized.module).layers] == [
        layer.bound and astuple(layer.bound) for layer in realize(renamed.quantized.module).layers
    ]


def test_report_rows(plain, renamed, same):
    """Kernels, and the reasons of what is in float, which a profile joins with them."""
    one, two = plain.package, renamed.package
    assert [replace(step, layer=same[step.layer]) for step in one.variants[0].steps] == list(two.variants[0].steps)
    reasons = [entry | {"name": same[entry["name"]]} for entry in one.info["operators"]["reasons"]]
    assert two.info["operators"] == one.info["operators"] | {"reasons": reasons}
    told = {entry["name"] for entry in two.info["operators"]["reasons"]}
    floats = {step.layer for step in two.variants[0].steps if step.operator.startswith("relax.nn.softmax")}
    assert floats and floats <= told, "each kernel in float finds why"


def released_weights(compiled):
    """Of all layers, after everything was released to float."""
    regions = regions_of(compiled.quantized.module)
    released = ReleaseFloat(regions, frozenset(range(len(regions.members))), compiled.quantized.model.module)(
        compiled.quantized.module
    )
    values = [binding.value for binding in released["main"].body.blocks[0].bindings]
    return [
        value.args[1].value.numpy().tobytes() for value in values if ops.is_op(value, "relax.nn.conv2d", "relax.matmul")
    ]


def test_a_released_layer_gets_its_own_weights_back(plain, renamed):
    assert released_weights(renamed) == released_weights(plain) and len(set(released_weights(plain))) == 6
