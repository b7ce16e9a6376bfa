"""The peers of a benchmark, run on the same machine: ONNX Runtime and OpenVINO on the same ONNX model.

int8: ONNX Runtime's static quantization (QDQ, per channel, u8 activations, s8 weights) from the same calibration data,
of all operators or, where that fails, of those with weights; both runtimes read that one file, and a file that comes
quantised as it is. Every peer gets the same
number of threads, one stream but under load, and float32 arithmetic where it is not int8.

A peer that cannot run a model must not take the benchmark with it, nor the machine: each has a process of its own, with
limits of memory and time (`process.py`).
"""

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

from ...targets.errors import OctetError
from . import onnxruntime_peer
from .fixed import with_fixed_inputs
from .openers import OPENERS
from .process import SECONDS, Peer, PeerFailed, memory_for, once

PEERS = ("onnxruntime", "openvino")
CALIBRATION_SAMPLES = 64


def chosen_peers(text: str) -> tuple[str, ...]:
    """The comma separated peers of the command line. Raises OctetError for an unknown one or one that is not
    installed."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name == "torch":
            raise OctetError(
                "--against torch: it does not read ONNX; tests/cuda/on_device.py compares with PyTorch fp16 on the "
                "same GPU, with networks that torch builds itself"
            )
        if name not in PEERS:
            raise OctetError(f"--against {name}: unknown; take one or both of: {','.join(PEERS)}")
    # ONNX Runtime makes the int8 model that both peers read.
    for module in dict.fromkeys(("onnxruntime.quantization", *names)):
        try:
            __import__(module)
        except ImportError as error:
            raise OctetError(
                f"--against {text}: {error.name or module} is not installed; run: pip install 'octet[peers]'"
            ) from error
    return names


def runners(
    names,
    onnx_path,
    batches,
    feed: dict | list[dict],
    threads: int,
    values: Mapping[str, float] = MappingProxyType({}),
    seconds: float = SECONDS,
    streams: int = 1,
) -> tuple[dict, dict]:
    """Peers, each in a process of its own, by name ("onnxruntime-fp32", "onnxruntime-int8", "openvino-fp32",
    "openvino-int8"), and of those that cannot run the reasons.
    batches: of calibration data, one run each, taken one by one. feed: one run, or several that are run in turn.
    values: of inputs that were fixed. seconds: for whatever is asked of one. streams: callers at one time under
    load."""
    made, failed, memory = {}, {}, memory_for(onnx_path)
    with tempfile.TemporaryDirectory(prefix="octet-peers-") as folder:
        onnx_path = with_fixed_inputs(onnx_path, values, Path(folder))
        files = _files(onnx_path, batches, Path(folder), memory, seconds)
        for name in names:
            for precision, (path, reason) in files.items():
                if path is None:
                    failed[f"{name}-{precision}"] = reason
                    continue
                try:
                    made[f"{name}-{precision}"] = Peer(
                        partial(OPENERS[name], str(path), feed, threads, streams), memory, seconds
                    )
                except PeerFailed as error:
                    failed[f"{name}-{precision}"] = f"cannot run: {error}"
    return made, failed


def _files(path, batches, folder, memory, seconds):
    """{precision: (the file that peers read, None), or (None, the reason)}."""
    if onnxruntime_peer.holds_integers(path):
        return {"fp32": (None, "the file comes quantised"), "int8": (path, None)}
    return {"fp32": (path, None), "int8": _quantized(path, batches, folder, memory, seconds)}


def _quantized(path, batches, folder, memory, seconds):
    """(path, None), or (None, the reason). Where quantising every operator fails, those with weights are."""
    reasons = []
    for operators in (None, onnxruntime_peer.LINEAR):
        try:
            made = partial(onnxruntime_peer.quantized, path, batches, folder, operators=operators)
            return once(made, memory, seconds), None
        except PeerFailed as error:
            reasons.append(f"onnxruntime cannot quantise it: {error}")
    return None, reasons[0]
