"""What reads files that others made: seeds, how they are spoilt, and what is asked of what was read.

A reader raises OctetError with one printable line, or takes the file and its contents can be used; every other end is a
finding."""

import hashlib
import json
import warnings
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import onnx
from click.testing import CliRunner
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from octet.passes.annotate.recipe import Recipe
from octet.passes.calibrate import store
from octet.passes.calibrate.identity import Identity
from octet.passes.calibrate.observers import find_range
from octet.passes.calibrate.qparams import choose
from octet.passes.calibrate.statistics import Statistics
from octet.passes.frontend.onnx import load_onnx
from octet.passes.pipeline import canonicalize
from octet.passes.sensitivity.design import Design
from octet.passes.sensitivity.journal import ALONE, Journal
from octet.passes.sensitivity.learnt_files import LearntFiles
from octet.targets.errors import OctetError
from octet.targets.package import load
from octet.targets.samples import load_samples
from octet.tools.main import main

from ..bad_input.conftest import images, tiny_network
from ..sensitivity.test_state_files import FOUND, LAYERS, arrays_of, learnt
from . import mutations
from .reader import Reader
from .tuning_readers import Candidates, Records


class Package(Reader):
    """A manifest that was edited, its hashes made again; members that are other ones; a zip that is none."""

    def strategy(self, toy_package):
        with zipfile.ZipFile(toy_package) as file:
            self.members = {name: file.read(name) for name in file.namelist()}
        self.code = hashlib.sha256(
            self.members[next(name for name in self.members if name.endswith(".so"))]
        ).hexdigest()
        return st.one_of(
            self._edited(), self._edited(), self._replaced(), mutations.spoilt(Path(toy_package).read_bytes())
        )

    @st.composite
    @staticmethod
    def _zip(draw, members, manifest):
        text = mutations.json_bytes(manifest)
        comment = b"octet package, manifest sha256 " + hashlib.sha256(text).hexdigest().encode()
        return draw(mutations.zips({**members, "manifest.json": text}, comment))

    def _edited(self):
        manifest = json.loads(self.members["manifest.json"])
        return mutations.documents(manifest).flatmap(lambda made: self._zip(self.members, made))

    def _replaced(self):
        @st.composite
        def made(draw):
            members, manifest = dict(self.members), json.loads(self.members["manifest.json"])
            name = draw(st.sampled_from(sorted(manifest["members"])))
            selftest = {"input/x": np.zeros((4, 16), np.float32), "output/y": np.zeros((4, 16), np.float32)}
            data = (
                draw(mutations.npz(selftest))
                if name == "selftest.npz" and draw(st.booleans())
                else draw(mutations.spoilt(members[name]))
            )
            members[name] = data
            manifest["members"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            return draw(self._zip(members, draw(mutations.documents(manifest)) if draw(st.booleans()) else manifest))

        return made()

    def read(self, path):
        """Inspected as a user does; run where its code is the one that this machine built."""
        said = CliRunner().invoke(
            main, ["inspect", str(path), "--kernels", "--json", str(self.folder / "figures.json")]
        )
        if said.exit_code == 1:
            raise said.exception.__context__ or said.exception
        assert said.exit_code in (0, 2) and said.output.replace("\n", "").isprintable() and len(said.stderr) < 4000, (
            said.output
        )
        if said.exit_code == 2:
            raise OctetError(said.stderr)
        json.loads((self.folder / "figures.json").read_text(), parse_constant=_no_json)
        with zipfile.ZipFile(path) as file:
            names = [name for name in file.namelist() if name.endswith(".so")]
            if any(hashlib.sha256(file.read(name)).hexdigest() != self.code for name in names):
                return
        with load(path) as session:
            session.run({spec.name: np.zeros(spec.shape, spec.dtype) for spec in session.inputs})


def _no_json(text):
    raise AssertionError(f"{text} is no JSON")


class StatisticsFiles(Reader):
    """Statistics of calibrations: headers, ranges, histograms; read, merged, and used by every calibrator."""

    def strategy(self, _):
        whole = self.folder / "whole.npz"
        seen = {name: Statistics() for name in ("x", "y")}
        for name, one in seen.items():
            one.update(np.random.default_rng(len(name)).standard_normal(500).astype(np.float32))
        store.save(whole, Identity({"conv": "g"}, {"conv": "m"}, {"x": "float32 [1, 3]"}, ({"x": "d"},), 3), seen)
        held = dict(np.load(whole))
        header = json.loads(str(held.pop("octet_statistics")))
        return st.one_of(
            mutations.npz(held, {"octet_statistics": header}),
            mutations.npz(held, {"octet_statistics": header}),
            mutations.spoilt(whole.read_bytes()),
        )

    def read(self, path):
        identity, statistics = store.load(path)
        store.merge([path])
        for name, one in statistics.items():
            for calibrator in ("max", "mse", "entropy", "percentile"):
                for scheme in ("affine", "symmetric"):
                    assert choose(*find_range(one, Recipe(calibrator=calibrator), scheme), scheme).scale > 0, name
        store.save(self.folder / "again.npz", identity, statistics)
        assert store.load(self.folder / "again.npz")[1].keys() == statistics.keys()


class SearchStates(Reader):
    """The journal of a search, and what its repairs learnt."""

    def strategy(self, _):
        path = self.folder / "whole"
        journal = Journal(path, "x")
        for key, value in FOUND.items():
            journal.get(key, lambda value=value: value)
        text = path.read_bytes()
        learnt_file = mutations.npz(arrays_of(learnt()))
        return st.one_of(
            mutations.documents(json.loads(text)).map(mutations.json_bytes), mutations.spoilt(text), learnt_file
        )

    def read(self, path):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            archive = path.read_bytes().startswith(b"PK")
            for key, value in ({} if archive else Journal(path, "x").found).items():
                assert isinstance(value, dict) == key.startswith(ALONE)
            files = LearntFiles(self.folder / "state", "x")
            files.get(Design(Recipe()), LAYERS, learnt)
            (file,) = self.folder.glob("state.learnt-*.npz")
            if archive:
                file.write_bytes(path.read_bytes())
            found = files.get(Design(Recipe()), LAYERS, learnt)
            assert all(
                (found[index].weight.shape, found[index].bias_delta.dtype) == (LAYERS[index].weight.shape, np.float32)
                for index in LAYERS
            )
        if caught:
            raise OctetError("; ".join(str(one.message) for one in caught))


@cache
def _node_models():
    """Every test network of ONNX itself that is small."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [case.model for case in collect_testcases(None)]
    return [model for model in found if model is not None and model.ByteSize() < 20_000]


def _small_models():
    """A few that have branches, attributes, constants and quantised weights."""
    weight = numpy_helper.from_array(np.ones((2, 20, 4), np.float32), "w")
    recurrent = numpy_helper.from_array(np.ones((2, 20, 5), np.float32), "r")
    lstm = helper.make_node("LSTM", ["x", "w", "r"], ["y", "h", ""], hidden_size=5, direction="bidirectional")
    yield _model([lstm], {"x": (3, 1, 4)}, [weight, recurrent])
    value = numpy_helper.from_array(np.array([1, -1], np.int64), "s")
    yield _model(
        [helper.make_node("Reshape", ["x", "s"], ["z"]), helper.make_node("Softmax", ["z"], ["y"], axis=1)],
        {"x": (2, 3, 4)},
        [value],
    )
    branch = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["b"])], "branch", [], [helper.make_tensor_value_info("b", 1, (2, 3))]
    )
    yield _model(
        [helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)],
        {"x": (2, 3)},
        [numpy_helper.from_array(np.array(True), "c")],
    )
    scale, zero = numpy_helper.from_array(np.float32(0.1), "k"), numpy_helper.from_array(np.uint8(3), "o")
    yield _model(
        [
            helper.make_node("QuantizeLinear", ["x", "k", "o"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "k", "o"], ["y"]),
        ],
        {"x": (2, 3)},
        [scale, zero],
    )
    roi = [numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "sizes")]
    yield _model(
        [
            helper.make_node("Resize", ["x", "", "sizes"], ["z"], mode="linear"),
            helper.make_node("MaxPool", ["z"], ["y"], kernel_shape=[2, 2], strides=[2, 2]),
        ],
        {"x": (1, 2, 4, 4)},
        roi,
    )


def _model(nodes, inputs, constants):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, 1, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info("y", 1, None)],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


class Networks(Reader):
    """ONNX files: fields of every message changed, wires crossed, bytes spoilt."""

    def strategy(self, _, many=False):
        models = [tiny_network(), tiny_network(), *_small_models(), *(_node_models() if many else ())]
        operators = sorted({schema.name for schema in onnx.defs.get_all_schemas()})
        edited = (
            st.sampled_from(models)
            .flatmap(lambda model: mutations.messages(model, operators))
            .map(lambda made: made.SerializeToString())
        )
        return st.one_of(edited, edited, edited, mutations.spoilt(models[0].SerializeToString()))

    def read(self, path):
        canonicalize(load_onnx(path))


class Samples(Reader):
    """Calibration data."""

    def strategy(self, _):
        onnx.save(tiny_network(), self.folder / "tiny.onnx")
        self.model = load_onnx(self.folder / "tiny.onnx")
        good = {"image": images(), "labels": np.arange(8) % 4}
        return st.one_of(mutations.npz(good), mutations.npz(good), mutations.spoilt(mutations.npy(good["image"])))

    def read(self, path):
        for array in load_samples(path, self.model).values():
            assert len(np.asarray(array)) > 0


READERS = {
    "package": Package,
    "statistics": StatisticsFiles,
    "search-state": SearchStates,
    "records": Records,
    "candidates": Candidates,
    "onnx": Networks,
    "samples": Samples,
}
