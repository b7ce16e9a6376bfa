"""PyTorch's side of a comparison: work as a CUDA graph of many launches, and the names of the kernels that it takes."""

import numpy as np
import torch

ROUNDS = 5


def graph_of(run, launches: int):
    """`run` as a CUDA graph of so many; what is returned gives the seconds of one on the device, the mean over `graphs`
    of them."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # What is allocated or tuned at first comes before the capture.
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(launches):
            run()

    def seconds(graphs: int) -> float:
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        graph.replay()
        first.record()
        for _ in range(graphs):
            graph.replay()
        last.record()
        last.synchronize()
        return first.elapsed_time(last) / 1e3 / (graphs * launches)

    return seconds


def in_turn(*sides) -> list[float]:
    """Seconds of each, functions without arguments, measured in turn: medians."""
    rows = [[side() for side in sides] for _ in range(ROUNDS + 1)][1:]
    return [float(value) for value in np.median(rows, axis=0)]


def kernels_of(run, most: int = 6) -> list:
    """[[name, launches, microseconds]] of one `run`, the longest first; a reason where the profiler does not work."""
    try:
        from torch.profiler import ProfilerActivity, profile

        run()
        with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as found:
            run()
            torch.cuda.synchronize()
        rows = [
            (e.key, e.count, round(e.self_device_time_total, 1))
            for e in found.key_averages()
            if "CUDA" in str(e.device_type) and e.self_device_time_total > 0
        ]
        rows.sort(key=lambda row: -row[2])
        return [
            ["kernels", sum(row[1] for row in rows), round(sum(row[2] for row in rows), 1)],
            *([name[:120], *figures] for name, *figures in rows[:most]),
        ]
    except Exception as error:
        return [["not profiled", 0, str(error)[:100]]]
