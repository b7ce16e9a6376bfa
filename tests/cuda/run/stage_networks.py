"""Networks of ours against PyTorch's fp16 as CUDA graphs: eager, compiled, compiled at max-autotune. As stage "warm" it
only compiles, for the caches of the next process."""

import gc
import json

import torch
from packages import feed_of, session_of
from peers import graph_of, in_turn, kernels_of
from torch_networks import inputs, network

MODES = {
    "compiled": "default",
    "max-autotune": "max-autotune-no-cudagraphs",
    "eager": None,
}  # The graph is ours: nothing is copied into it.
WARM = ("compiled", "max-autotune")


def run(work) -> None:
    torch.backends.cudnn.benchmark = True
    entries = json.loads((work.folder / "networks.json").read_text())
    entries = [entry for entry in entries if "model" in entry]
    if work.stage == "warm":
        items = {f"{entry['title']}, {mode}": (entry, mode) for mode in WARM for entry in entries}
        work.each(items, lambda one: _warmed(*one))
    else:
        items = {f"{entry['title']}, {mode}": (entry, mode) for mode in MODES for entry in entries}
        work.each(items, lambda one: _compared(work, *one))


def _theirs(entry, mode):
    """A function without arguments that runs the network."""
    model, x = network(entry["model"]).half().cuda(), inputs(entry["model"], entry["batch"])["input"].cuda()
    if x.is_floating_point():
        model, x = model.to(memory_format=torch.channels_last), x.half().to(memory_format=torch.channels_last)
    compiled = torch.compile(model, mode=MODES[mode]) if MODES[mode] is not None else model
    return lambda: compiled(x)


def _warmed(entry, mode):
    with torch.inference_mode():
        run = _theirs(entry, mode)
        run()
        torch.cuda.synchronize()
    _forget()
    return {"right": True}


def _compared(work, entry, mode):
    session = session_of(work, entry)
    with torch.inference_mode():
        found = _timed(session, entry, mode)
    session.close()
    _forget()
    return found


def _timed(session, entry, mode):
    feed, passes = feed_of(session), 10 if entry["batch"] > 32 else 30
    theirs = _theirs(entry, mode)
    graph = graph_of(theirs, 1)
    ours, other = in_turn(lambda: session.device_seconds(feed, passes), lambda: graph(passes))
    return {
        "octet_ms": round(ours * 1e3, 4),
        "torch_fp16_ms": round(other * 1e3, 4),
        "ratio": round(other / ours, 3),
        "kernels": kernels_of(theirs),
        "right": True,
    }


def _forget():
    torch._dynamo.reset()
    gc.collect()
    torch.cuda.empty_cache()
