"""octet evaluate --against: the accuracy of other tools' int8 on the same network, calibration data and validation
data."""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from ...targets.batches import Feeds, samples_of
from ...targets.errors import DataError, OctetError
from ..peers import nncf_peer, onnxruntime_peer
from ..peers.fixed import with_fixed_inputs
from ..peers.process import PeerFailed, memory_for, once
from ..scores import Scoring

PEERS = {
    "onnxruntime": ("onnxruntime", "onnxruntime.quantization"),
    "nncf": ("openvino", "nncf"),
    "nncf-accuracy-control": ("openvino", "nncf"),
}

# One setting may take so many seconds: NNCF's control of the accuracy validates the network over and over.
SECONDS = 3600


@dataclass(frozen=True)
class Result:
    """One row. name: of the tool and its settings. value: {output: the metric}, None where the tool failed and `error`
    says how. seconds: to quantise."""

    name: str
    value: dict | None
    seconds: float
    error: str = ""


@dataclass(frozen=True)
class Comparison:
    """Validates what other tools make of the network, with the samples of the calibration.

    path: the fp32 .onnx. inputs: its TensorSpecs, without those of `values`, which are fixed. samples: calibration
    arrays. outputs: their TensorSpecs. arrays, scoring: to validate with.
    batch: of one run. max_drop: relative, of nncf-accuracy-control."""

    path: str
    inputs: tuple
    outputs: tuple
    samples: dict
    arrays: dict
    scoring: Scoring
    batch: int
    threads: int
    max_drop: float = 0.01
    values: Mapping[str, float] = field(default_factory=dict)

    def results(self, names, tell: Callable = lambda text: None):
        """Yields a Result for every setting of the named tools."""
        memory = memory_for(self.path)
        with tempfile.TemporaryDirectory(prefix="octet-peers-") as folder:
            for name, make in self._settings(names, Path(folder)):
                tell(name)
                start = time.perf_counter()
                try:
                    yield once(partial(self._measured, name, make), memory, SECONDS)
                except PeerFailed as error:
                    yield Result(name, None, time.perf_counter() - start, str(error))

    def _settings(self, names, folder):
        path, threads, feeds = (
            str(with_fixed_inputs(self.path, self.values, folder)),
            self.threads,
            self._feeds(self.samples),
        )
        if "onnxruntime" in names:
            yield "onnxruntime fp32", lambda: onnxruntime_peer.session(path, threads)
            for method, operators in (
                *((method, None) for method in onnxruntime_peer.METHODS),
                ("MinMax", onnxruntime_peer.LINEAR),
            ):
                shown = f"onnxruntime {method}" + (f", {'/'.join(operators)} only" if operators is not None else "")
                yield (
                    shown,
                    lambda m=method, o=operators: onnxruntime_peer.session(
                        onnxruntime_peer.quantized(path, feeds, folder, m, o), threads
                    ),
                )
        if not {"nncf", "nncf-accuracy-control"} & set(names):
            return
        shapes, transformer = {name: array.shape for name, array in feeds[0].items()}, is_transformer(path)
        settings = (
            [(preset, kind) for preset in nncf_peer.PRESETS for kind in ((False, True) if transformer else (False,))]
            if "nncf" in names
            else []
        )
        for preset, kind in settings:
            shown = f"nncf {preset}{', model_type transformer' if kind else ''}"
            yield (
                shown,
                lambda p=preset, k=kind: nncf_peer.session(
                    nncf_peer.quantized(nncf_peer.openvino_model(path, shapes), feeds, p, k), threads
                ),
            )
        if "nncf-accuracy-control" in names:
            yield (
                "nncf accuracy control",
                lambda: nncf_peer.session(
                    self._controlled(nncf_peer.openvino_model(path, shapes), feeds, transformer), threads
                ),
            )

    def _controlled(self, model, feeds, transformer):
        sign = 1 if self.scoring.metric.larger_is_better else -1

        def score(outputs, rows):
            """Of the samples `rows`: the output with the worst figure, as NNCF knows of no reference."""
            some = self.scoring.rows(rows)
            found = some.scores(outputs)
            return sign * found[some.least(found)]

        return nncf_peer.accuracy_controlled(
            model, feeds, list(zip(self._feeds(self.arrays), self._rows())), score, self.max_drop, transformer
        )

    def _measured(self, name, make):
        start = time.perf_counter()
        try:
            run = make()
            seconds = time.perf_counter() - start
            value = self.scoring.scores(self._outputs(run))
        except Exception as error:  # A defect of another tool is a row of the table, not the end of it.
            text = " ".join(f"{type(error).__name__}: {error}".split())
            return Result(name, None, time.perf_counter() - start, text[:160])
        return Result(name, value, seconds)

    def _outputs(self, run):
        """{output: array} of all samples."""
        parts: dict[str, list[np.ndarray]] = {spec.name: [] for spec in self.outputs}
        for number, feed in enumerate(self._feeds(self.arrays)):
            found, count = run(feed), min(self.batch, self.scoring.count - number * self.batch)
            for spec in self.outputs:
                parts[spec.name].append(samples_of(spec, found[spec.name], self.batch, count))
        return {name: np.concatenate(each) for name, each in parts.items()}

    def _feeds(self, arrays):
        return Feeds(self.inputs, arrays, self.batch)

    def _rows(self):
        """The samples of the same runs."""
        count = self.scoring.count
        return [np.minimum(np.arange(start, start + self.batch), count - 1) for start in range(0, count, self.batch)]


def chosen_tools(text: str) -> tuple[str, ...]:
    """The comma separated tools of the command line. Raises OctetError for an unknown one or one that is not
    installed."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in PEERS:
            raise OctetError(f"--against {name}: unknown; take some of: {','.join(PEERS)}")
        for module in PEERS[name]:
            try:
                nncf_peer.prepared() if module == "nncf" else __import__(module)
            except ImportError as error:
                raise OctetError(
                    f"--against {text}: {error.name or module} is not installed; run: pip install 'octet[peers]'"
                ) from error
    return names


def tool_versions(names) -> dict[str, str]:
    """{distribution: its version} of what is behind the named tools."""
    from importlib.metadata import version

    return {
        module: version(module)
        for module in dict.fromkeys(module for name in names for module in PEERS[name] if "." not in module)
    }


def is_transformer(path) -> bool:
    """Whether a softmax is read by a matrix product: attention."""
    import onnx

    try:
        nodes = onnx.load(path, load_external_data=False).graph.node
    except Exception as error:
        raise DataError(f"{path}: is no ONNX file ({type(error).__name__}); name the fp32 network") from None
    weights = {name for node in nodes if node.op_type == "Softmax" for name in node.output}
    # Operators between these only pass values on.
    for node in nodes:
        if node.op_type in (
            "Where",
            "Mul",
            "Cast",
            "Dropout",
            "Identity",
            "Reshape",
            "Transpose",
            "IsNaN",
        ) and weights & set(node.input):
            weights |= set(node.output)
    return any(node.op_type == "MatMul" and weights & set(node.input) for node in nodes)
