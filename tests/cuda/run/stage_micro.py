"""What the device gives at most, unit by unit: figures for `conv_schedule` instead of guesses."""

import ctypes
from dataclasses import dataclass

import numpy as np
from launching import Module, Storage

from octet.targets.cuda.running.driver import device
from octet.targets.cuda.running.launch_graph import Marks, captured

_MIB = 1 << 20


@dataclass(frozen=True)
class Probe:
    """threads: of a block. per_step: units of one thread and count. unit: of the figure, per clock and multiprocessor;
    "" for clocks of a step.
    blocks: of a multiprocessor; 0 for one alone on the device. bytes: of memory that all blocks go through once a count
    (per_step is ignored)."""

    function: str
    threads: int
    count: int
    per_step: float
    unit: str
    blocks: int = 1
    bytes: int = 0
    shared: int = 0


_IMMA = 8 * 16 * 8 * 32 / 32  # It counts the multiply-adds of a thread's share in eight.
PROBES = {
    "mma.sync, 4 warps": Probe("imma_8", 128, 2000, _IMMA, "int8 MACs"),
    "mma.sync, 8 warps": Probe("imma_8", 256, 2000, _IMMA, "int8 MACs"),
    "mma.sync, 16 warps": Probe("imma_8", 512, 2000, _IMMA, "int8 MACs"),
    "mma.sync in a chain": Probe("imma_1", 32, 2000, 1, "", 0),
    "wgmma, 4 warps": Probe("wgmma_128", 128, 2000, 64 * 128 * 32 / 128, "int8 MACs", shared=32768),
    "wgmma, 8 warps": Probe("wgmma_128", 256, 2000, 64 * 128 * 32 / 128, "int8 MACs", shared=32768),
    "float to int and back": Probe("float_to_int", 512, 2000, 8, "conversion pairs"),
    "float to int by addition": Probe("float_by_magic", 512, 2000, 8, "roundings"),
    "float multiply-add": Probe("fused_multiply_add", 512, 4000, 8, "multiply-adds"),
    "dp4a": Probe("dot_dp4a", 512, 2000, 8, "dp4a"),
    "second-level cache, loads": Probe("read_global", 512, 20, 0, "bytes", 2, 16 * _MIB),
    "second-level cache, loads, 32 MiB": Probe("read_global", 512, 10, 0, "bytes", 2, 32 * _MIB),
    "second-level cache, cp.async": Probe("copy_async", 256, 20, 0, "bytes", 2, 16 * _MIB, 8 * 256 * 16),
    "memory, loads": Probe("read_global", 512, 2, 0, "bytes", 2, 2048 * _MIB),
    "memory, copies": Probe("copy_global", 512, 2, 0, "bytes", 2, 2048 * _MIB),
    "shared memory, ldmatrix": Probe("load_matrices", 256, 2000, 8 * 16, "bytes", shared=16384),
    "additions to memory, old value back": Probe("add_returning", 256, 10, 0, "bytes", 2, 16 * _MIB),
    "additions to memory": Probe("add_only", 256, 10, 0, "bytes", 2, 16 * _MIB),
    "barrier of 128 threads": Probe("barriers", 128, 2000, 1, ""),
    "barrier of 256 threads": Probe("barriers", 256, 2000, 1, ""),
    "store and fence, 128 threads": Probe("fences", 128, 200, 1, ""),
    "latency of the second-level cache": Probe("chase", 32, 2000, 1, "", 0),
}
GAPS = {
    "graph nodes": ("nothing", False, 0),
    "graph nodes of 132 blocks and 100 KB": ("nothing", False, 100 << 10),
    "dependent graph nodes": ("nothing_dependent", True, 0),
}
_NODES = 200


def run(work) -> None:
    module = Module((work.folder / "micro.cubin").read_bytes())
    work.each(PROBES, lambda probe: _probed(module, probe))
    work.each(GAPS, lambda gap: _gap(module, *gap))
    work.each({"launch and wait": None}, lambda _: _round_trip(module))


def _probed(module, probe):
    grid = max(1, probe.blocks * device().multiprocessors)
    clocks, memory = Storage(module, 8 * grid, 0), Storage(module, max(probe.bytes, _MIB), 0)
    values = [
        ctypes.c_uint64(clocks.address),
        ctypes.c_uint64(memory.address),
        ctypes.c_uint64(max(probe.bytes, _MIB)),
        ctypes.c_int(probe.count),
    ]
    marks, found = Marks(module.driver, 2), []
    for _ in range(4):
        marks.record(0, module.stream)
        _launch(module, probe.function, grid, probe.threads, probe.shared, values)
        marks.record(1, module.stream)
        module.wait()
        found.append((marks.seconds()[0], float(np.median(clocks.read().view(np.int64)))))
    marks.close()
    seconds, ticks = min(found[1:])
    clocks.close()
    memory.close()
    result = {"us": round(seconds * 1e6, 2), "clocks": ticks, "ghz": round(ticks / seconds / 1e9, 3)}
    if probe.bytes:
        moved = probe.bytes * probe.count
        return result | {
            "gb_s": round(moved / seconds / 1e9, 1),
            "figure": round(moved / ticks / device().multiprocessors, 2),
            "unit": "bytes a clock and multiprocessor",
        }
    if not probe.unit:
        return result | {"figure": round(ticks / probe.count / probe.per_step, 2), "unit": "clocks"}
    return result | {
        "figure": round(probe.per_step * probe.threads * max(1, probe.blocks) * probe.count / ticks, 2),
        "unit": f"{probe.unit} a clock and multiprocessor",
    }


def _gap(module, function, dependent, shared):
    """Microseconds from one empty kernel to the next in a graph."""
    clocks = Storage(module, 64, 0)
    values = [ctypes.c_uint64(clocks.address), ctypes.c_uint64(clocks.address), ctypes.c_uint64(64), ctypes.c_int(1)]
    launch = _launch_dependent if dependent else _launch
    graph = captured(
        module.driver,
        module.stream,
        lambda: [launch(module, function, device().multiprocessors, 256, shared, values) for _ in range(_NODES)],
    )
    seconds = _replayed(module, graph)
    clocks.close()
    return {"figure": round(seconds / _NODES * 1e6, 3), "unit": "us a node"}


def _round_trip(module):
    """Microseconds of a graph of one empty kernel that is waited for, by the host's clock."""
    import time

    clocks = Storage(module, 64, 0)
    values = [ctypes.c_uint64(clocks.address), ctypes.c_uint64(clocks.address), ctypes.c_uint64(64), ctypes.c_int(1)]
    graph, found = captured(module.driver, module.stream, lambda: _launch(module, "nothing", 1, 32, 0, values)), []
    for _ in range(200):
        started = time.perf_counter()
        module.driver.call("cuGraphLaunch", graph, module.stream)
        module.wait()
        found.append(time.perf_counter() - started)
    return {"figure": round(float(np.median(found)) * 1e6, 2), "unit": "us"}


def _replayed(module, graph):
    marks, found = Marks(module.driver, 2), []
    for _ in range(6):
        marks.record(0, module.stream)
        module.driver.call("cuGraphLaunch", graph, module.stream)
        marks.record(1, module.stream)
        module.wait()
        found.append(marks.seconds()[0])
    marks.close()
    module.driver.release("cuGraphExecDestroy", graph)
    return min(found[1:])


def _pointers(values):
    return (ctypes.c_void_p * len(values))(*[ctypes.addressof(value) for value in values])


def _launch(module, function, grid, threads, shared, values):
    module.driver.call(
        "cuLaunchKernel",
        module.function(function, shared),
        grid,
        1,
        1,
        threads,
        1,
        1,
        shared,
        module.stream,
        _pointers(values),
        None,
    )


class _Attribute(ctypes.Structure):
    _fields_ = [("id", ctypes.c_int), ("pad", ctypes.c_char * 4), ("value", ctypes.c_int * 16)]


class _Config(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint) for name in ("gx", "gy", "gz", "bx", "by", "bz", "shared")] + [
        ("stream", ctypes.c_void_p),
        ("attributes", ctypes.POINTER(_Attribute)),
        ("count", ctypes.c_uint),
    ]


def _launch_dependent(module, function, grid, threads, shared, values):
    attribute = _Attribute(6)  # CUDA calls 6 CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION.
    attribute.value[0] = 1
    config = _Config(grid, 1, 1, threads, 1, 1, shared, module.stream, ctypes.pointer(attribute), 1)
    module.driver.call(
        "cuLaunchKernelEx", ctypes.byref(config), module.function(function, shared), _pointers(values), None
    )
