"""What `octet bench` does, as one dictionary of figures."""

from typing import Any

import numpy as np

from ...targets.batches import Feeds, feed_of
from ...targets.errors import OctetError
from ...targets.package import load
from ...targets.registry import find
from ...targets.shaped.session import AnySession, for_samples
from ...targets.stored_array import shapes_of_npz
from ..building.given import as_compiled
from ..building.opening import check_origin, fp32_session, open_model, origin_of
from ..console import progress
from ..data import read_samples
from ..peers.process import Peer
from ..peers.runtimes import CALIBRATION_SAMPLES, chosen_peers, runners
from ..random_inputs import random_inputs
from ..timing import interleaved
from .load import under_load
from .profile import profile_of
from .varying import in_turn, measured, requests_of


def run_benchmark(options, tell=lambda text: None) -> dict:
    """Measures the latency of a session beside its peers; gives what `octet bench` prints.

    options: model, threads, given, against, onnx_path, calib, rounds, streams, seconds, varying, profile, peak (see
    the command). tell(text): a line before the peers. Raises OctetError.

    "latency_ms", "p10_ms", "p90_ms", "best_ms", "cpu_ms", "threads", "variant", "batch"; "device" of a GPU; "peers":
    {name: median ms}; "failed": {peer that cannot run: reason}; "details": every candidate in full; "load": with one
    stream and with --streams, by `run` and by `run_many`, and of peers with --streams: "name", "per_second" samples,
    "p50_ms", "p99_ms" of a call; "varying": a stream of requests of varying extents: "requests", "rounds", "failed" and
    "streams" of the package and the peers (varying.py); "peak": of the machine, 1e9 per second; "kernels": one entry
    per kernel."""
    _check(options)
    session, precision = open_model(options.model, options.threads, options.given, options.calib, options.streams)
    feed = _feed(session, options.calib)
    candidates = {"octet-" + precision: lambda: session.run(feed)}
    # Peers may take minutes, or end in what ends the machine, so the package's own figure is told first.
    if options.against is not None:
        alone = interleaved(candidates, rounds=2)["octet-" + precision]
        tell(f"octet-{precision}: {alone.median:.3f} ms by itself; now the peers, each in a process of its own")
    others, failed = _others(options, session, feed, precision)
    try:
        with progress("bench", options.rounds * (len(candidates) + len(others))) as advance:
            found = interleaved(candidates | others, rounds=options.rounds, progress=advance, lost=failed)
        if options.streams is not None:
            peers = {name: peer for name, peer in others.items() if isinstance(peer, Peer) and name not in failed}
            loads = under_load(
                session, feed, (1, options.streams), options.seconds, "octet-" + precision, peers, failed
            )
    finally:
        for peer in others.values():
            if isinstance(peer, Peer):
                peer.close()
    ours = found["octet-" + precision]
    report = {
        "model": str(options.model),
        **ours.as_dict(),
        "threads": session.threads,
        **device_entry(session),
        "variant": session.target,
        "precision": precision,
        "batch": session.batch,
    }
    report["peers"] = {name: round(latency.median, 4) for name, latency in found.items() if name in others}
    report["ratios"] = {
        name: round(latency.median / ours.median, 4) for name, latency in found.items() if name in others
    }
    report["failed"] = failed
    report["details"] = {name: latency.as_dict() for name, latency in found.items()}
    if options.streams is not None:
        report["load"] = [load.as_dict() for load in loads]
    if options.varying is not None:
        report["varying"] = _varying(options)
    if options.profile or options.peak:
        peak = machine_peak(session)
        report["peak"] = peak.as_dict()
    if options.profile:
        report["kernels"] = profile_of(session, feed, peak, origin_of(options.model))
    return report


def _varying(options):
    """Requests of the same samples, with extents of their own."""
    session = load(options.model, threads=options.threads, streams=options.streams)
    samples, _ = read_samples(options.calib, for_samples(session, shapes_of_npz(options.calib)))
    requests = requests_of(session, samples, options.varying)
    failed: dict[str, str] = {}
    peers: dict[str, Any] = {}
    if options.against is not None:
        of_data = for_samples(session, {name: array.shape for name, array in samples.items()})
        batches = Feeds(of_data.inputs, samples, of_data.batch, CALIBRATION_SAMPLES)
        values = as_compiled(of_data, origin_of(options.model)).values
        peers, failed = runners(
            chosen_peers(options.against), options.onnx_path, batches, requests, session.threads, values
        )
    try:
        candidates = {"octet-int8": in_turn(session.run, requests), **peers}
        with progress("varying", (options.rounds + 1) * len(candidates)) as advance:
            found = measured(candidates, len(requests), options.rounds, failed, advance)
    finally:
        for peer in peers.values():
            peer.close()
    return {
        "requests": len(requests),
        "rounds": options.rounds,
        "threads": session.threads,
        "failed": failed,
        "streams": [stream.as_dict() for stream in found],
    }


def machine_peak(session: AnySession):
    """What the session's kernels could reach: the measured limits of its cores, with the dot product of its target
    (targets/x86/peak.py), or what its GPU says of itself (targets/cuda/running/peak.py)."""
    from ... import passes  # noqa: F401 - prepares TVM before a processor's peak imports it

    spec = find(session.target)
    return spec.backend.peak(spec, session)


def device_entry(session: AnySession) -> dict:
    """{"device": name} of a session on a GPU, {} of others."""
    return find(session.target).backend.session_device(session)


def _check(options):
    if options.streams is not None and not str(options.model).endswith(".octet"):
        raise OctetError(f"--streams: {options.model} is no package; compile it first")
    if options.varying is not None and (options.calib is None or not str(options.model).endswith(".octet")):
        raise OctetError("--varying: needs a package of several shapes, and --calib DATA.npz for its requests")
    if options.profile or options.peak:
        from ... import passes  # noqa: F401 - a processor's peak needs TVM, which says here where it lacks
    if options.against is None:
        return
    if options.onnx_path is None or options.calib is None:
        absent = " and ".join(
            name
            for name, value in (("--model MODEL.onnx", options.onnx_path), ("--calib DATA.npz", options.calib))
            if value is None
        )
        raise OctetError(f"--against {options.against}: needs {absent}, to make the peers' int8 model")
    chosen_peers(options.against)


def _feed(session, calib):
    """The first samples of the calibration data where given, else the self-test's random ones."""
    if calib is None:
        return random_inputs(session.inputs)
    arrays, _ = read_samples(calib, session)
    count = len(next(iter(arrays.values())))
    # Fewer samples than a batch holds are taken over and over.
    return feed_of(session.inputs, arrays, np.arange(session.batch) % count)


def _others(options, session, feed, precision):
    """The other candidates (our own fp32, and the peers), and the reasons of peers that cannot run."""
    others: dict[str, Any] = {}
    failed: dict[str, str] = {}
    if options.onnx_path is not None and precision == "int8":
        check_origin(options.model, options.onnx_path)
        fp32 = fp32_session(options.onnx_path, options.threads, as_compiled(session, origin_of(options.model)))
        others["octet-fp32"] = lambda: fp32.run(feed)
    if options.against is not None:
        samples, _ = read_samples(options.calib, session)
        values = {**options.given.values, **as_compiled(session, origin_of(options.model)).values}
        batches = Feeds(session.inputs, samples, session.batch, CALIBRATION_SAMPLES)
        made, failed = runners(
            chosen_peers(options.against),
            options.onnx_path,
            batches,
            feed,
            session.threads,
            values,
            streams=options.streams or 1,
        )
        others |= made
    return others, failed
