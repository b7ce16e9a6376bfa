"""Ways to run a network in 8 bits, each in a process of its own: Octet's package, NNCF's models in OpenVINO, ONNX
Runtime's files, and fp32 in both."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from octet.tools.peers import nncf_peer, onnxruntime_peer
from octet.tools.peers.process import Peer, PeerFailed, memory_for, once
from octet.tools.timing import both_times

FP32 = "ONNX Runtime, fp32"
# Quantising may take so many times the model's memory: weights are read per layer, in float64 at times.
_MOST_MEMORY = 12


@dataclass(frozen=True)
class Way:
    """How a tool quantises a network and runs it. quantise(model, feeds, folder) -> the file to open; session(file) ->
    a function from a feed to {output: array}."""

    quantise: Callable
    session: Callable


def _onnxruntime(operators):
    return Way(
        lambda model, feeds, folder: onnxruntime_peer.quantized(model, feeds, folder, "MinMax", operators), _open_onnx
    )


def _dynamic(model, feeds, folder):
    from onnxruntime.quantization import QuantType, quantize_dynamic

    made = folder / "dynamic.onnx"
    quantize_dynamic(str(model), str(made), weight_type=QuantType.QInt8, per_channel=True)
    return made


def _nncf(preset, transformer):
    def quantise(model, feeds, folder):
        import openvino

        made = folder / f"nncf-{preset}-{'transformer' if transformer else 'plain'}.xml"
        network = nncf_peer.openvino_model(model, {name: array.shape for name, array in feeds[0].items()})
        openvino.save_model(nncf_peer.quantized(network, feeds, preset, transformer), made, compress_to_fp16=False)
        return made

    return Way(quantise, lambda path: nncf_peer.session(_read(path), 1))


def _read(path):
    import openvino

    return openvino.Core().read_model(str(path))


def _open_onnx(path):
    return onnxruntime_peer.session(path, 1)


def _open_octet(path):
    import octet

    return octet.load(path, threads=1).run


def _as_it_is(model, feeds, folder):
    return model


def ways(package: Path) -> dict[str, Way]:
    """Lists the ways by the name that a table shows, fp32 first. package: what `octet compile` wrote."""
    return {
        FP32: Way(_as_it_is, _open_onnx),
        "Octet": Way(lambda model, feeds, folder: package, _open_octet),
        "NNCF": _nncf("performance", False),
        "NNCF, mixed": _nncf("mixed", False),
        "NNCF, transformer": _nncf("performance", True),
        "NNCF, transformer, mixed": _nncf("mixed", True),
        "ONNX Runtime, QDQ": _onnxruntime(None),
        "ONNX Runtime, QDQ, products": _onnxruntime(onnxruntime_peer.LINEAR),
        "ONNX Runtime, dynamic": Way(_dynamic, _open_onnx),
    }


def answers(
    title: str, way: Way, model: Path, calibration: list[dict], asked: list[dict], folder: Path
) -> tuple[Path, list]:
    """Quantises a network in one way and asks it all samples: (the file, one {output: array} each). A file that an
    earlier run finished is taken as it is. Raises PeerFailed."""
    memory, done = _MOST_MEMORY * memory_for(model), folder / f".{title}"
    if done.exists():
        path = Path(done.read_text())
    else:
        path = once(lambda: way.quantise(model, calibration, folder), memory)
        done.write_text(str(path))

    def run():
        session = way.session(path)
        return [session(feed) for feed in asked]

    return path, once(run, memory)


def cpu_milliseconds(opened: dict[str, tuple[Way, Path]], feed: dict, rounds: int, seconds: float) -> dict[str, float]:
    """Times files beside each other, in turns: {name: CPU time of a run, the median over rounds of a round's least}.
    opened: {name: (way, its file)}."""
    peers, least = {}, {name: [] for name in opened}
    try:
        for name, (way, path) in opened.items():
            peers[name] = Peer(lambda way=way, path=path: _repeated(way.session(path), feed), 4 * memory_for(path))
        counts = {name: max(2, int(seconds / both_times(peer, 3)[1].min())) for name, peer in peers.items()}
        for _ in range(rounds):
            for name, peer in peers.items():
                least[name].append(both_times(peer, min(counts[name], 100))[1].min())
    finally:
        for peer in peers.values():
            peer.close()
    return {name: float(np.median(found)) * 1e3 for name, found in least.items()}


def _repeated(session, feed):
    return lambda: session(feed)


__all__ = ["FP32", "PeerFailed", "answers", "cpu_milliseconds", "ways"]
