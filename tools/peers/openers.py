"""How a peer opens a model: (path, feed, threads, streams) -> a function that runs the feed once and gives {output, by
name or number: array}; for more than one stream it has `many`, another one, which as many threads may call at one time:
the peer's throughput mode, `threads` cores to each.
Of a list of feeds, whose shapes may differ, every run takes the next; the model keeps the dynamic shapes of its
file."""

import itertools
import queue
from collections.abc import Callable
from typing import Any

from . import onnxruntime_peer


class Once:
    """One run of a peer, for a single caller. many: one for several callers side by side, where that is another."""

    def __init__(self, run: Callable[[], Any]) -> None:
        self._run = run
        self.many: Callable[[], Any] = self

    def __call__(self) -> Any:
        """Runs the feed once: {output: array}."""
        return self._run()


def _onnxruntime(path, feed, threads, streams):
    """Its sessions take callers side by side, each on its caller's thread and as many others as one run may have."""
    run = onnxruntime_peer.session(path, threads)
    if isinstance(feed, list):
        return _in_turn(run, feed)
    return Once(lambda: run(feed))


def _openvino(path, feed, threads, streams):
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    if isinstance(feed, list):
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": "f32",
        }
        request = core.compile_model(model, "CPU", settings).create_infer_request()
        return _in_turn(lambda each: dict(enumerate(request.infer(each).values())), feed)
    model.reshape({name: array.shape for name, array in feed.items()})

    def requests(hint, count):
        settings = {
            "INFERENCE_NUM_THREADS": threads * count,
            "PERFORMANCE_HINT": hint,
            "NUM_STREAMS": count,
            "INFERENCE_PRECISION_HINT": "f32",
        }
        compiled = core.compile_model(model, "CPU", settings)
        return [compiled.create_infer_request() for _ in range(count)]

    (request,) = requests("LATENCY", 1)
    once = Once(lambda: dict(enumerate(request.infer(feed).values())))
    if streams > 1:
        idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for each in requests("THROUGHPUT", streams):
            idle.put(each)

        def many():
            mine = idle.get()
            try:
                mine.infer(feed)
            finally:
                idle.put(mine)

        once.many = many
    return once


def _in_turn(run, feeds):
    following = itertools.cycle(feeds)
    return lambda: run(next(following))


OPENERS = {"onnxruntime": _onnxruntime, "openvino": _openvino}
