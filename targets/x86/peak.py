"""The machine's measured limits: int8 dot products, float32 multiply-adds, and reading from L2, L3 and memory.

What a kernel's time is compared with ("percent of peak"). Each limit is a loop as tight as the hardware runs it,
written in TIR like the kernels: operands stay in registers or tiles, enough independent sums hide the latency of an
instruction (5 cycles at 2 a cycle; 52 for TDPBUSD).
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from tvm import tirx
from tvm.tirx.script import builder as T

from ..arm64.instructions import product_of_pairs
from ..cpu.expressions import bind, const, effect, load_vector, splat, store_vector, typed
from ..detect import missing
from .intrinsics import dot4_multiplied, dot4_safe, fma, multiplied
from .isa import building_for, current
from .kernel import argument, emit_kernel
from .tiles import tile_config, tile_dot, tile_load, tile_store

if TYPE_CHECKING:
    from ..spec import TargetSpec


SUMS, VECTOR = 12, 64  # Independent sums are in flight side by side; a vector is 64 bytes.
_RUNS = 40
# Each core reads these bytes over and over: the first fit half of a 2 MB L2, the second lie far beyond L2.
_L2, _L3 = 1 << 20, 1 << 24
# The first is half of an L2 of 2 MB, per core; the second is what one may hope to keep of a shared L3.
_L2_SHARE, _L3_SHARE = (
    1 << 20,
    1 << 24,
)
_MEMORY, _PARTS = 1 << 28, 16  # The bytes lie beyond the share of an L3 and are read in turns, a part per run.


@dataclass(frozen=True)
class Peak:
    """What one run with `threads` cores reaches, in 1e9 per second: int8 and float32 operations (a multiply-add is
    two), bytes read."""

    threads: int
    int8_gops: float
    float32_gflops: float
    l2_gbytes: float
    l3_gbytes: float
    memory_gbytes: float

    def level(self, moved: int) -> tuple[str, float]:
        """The cache that holds `moved` bytes, and its bandwidth."""
        if moved <= _L2_SHARE * self.threads:
            return "L2", self.l2_gbytes
        if moved <= _L3_SHARE:
            return "L3", self.l3_gbytes
        return "memory", self.memory_gbytes

    def as_dict(self) -> dict[str, float]:
        """{field: 1e9 per second, or the number of threads}, JSON values."""
        return asdict(self)


def _dots(tasks: int, steps: int) -> tuple[tirx.PrimFunc, int]:
    """The instruction that multiplies most on `SUMS` registers: USMMLA, which takes every byte of a register twice,
    VPDPBUSD, SDOT, or the shortest that there is without them (VPMADDUBSW, VPMADDWD and VPADDD). Two operations a
    product."""
    isa = current()
    if isa.mixed:
        multiply: Callable[[tirx.Expr, tirx.Expr, tirx.Expr], tirx.Expr] = product_of_pairs
    elif isa.dotprod or isa.vnni and not isa.neon:
        multiply = dot4_multiplied
    else:  # Products of several instructions depend on the sum: those of constants would be moved out of the loop.
        multiply = lambda total, data, _: (dot4_multiplied if isa.neon else dot4_safe)(total, data, total)
    products = isa.bits // 8 * (2 if isa.mixed else 1)

    def body() -> None:
        seed, out = argument("seed", 64, "uint8"), argument("out", tasks * 16, "int32")
        with T.parallel(0, tasks) as task:
            data = bind(multiplied(load_vector(seed, 0, isa.bits // 8)))
            signed = bind(tirx.reinterpret(typed("int8", data), data))
            _loop(steps, "int32", lambda old: multiply(old, data, signed))(
                lambda total: store_vector(out, task * 16, total)
            )

    return emit_kernel("peak_dot", body), steps * SUMS * products * 2


def _fmas(tasks: int, steps: int) -> tuple[tirx.PrimFunc, int]:
    """VFMADD231PS on `SUMS` registers: two operations per lane each."""

    def body() -> None:
        seed, out = argument("seed", 16, "float32"), argument("out", tasks * 16, "float32")
        with T.parallel(0, tasks) as task:
            data = bind(load_vector(seed, 0, current().lanes))
            _loop(steps, "float32", lambda old: fma(old, data, data))(lambda total: store_vector(out, task * 16, total))

    return emit_kernel("peak_fma", body), steps * SUMS * 2 * current().lanes


def _loop(
    steps: int, dtype: str, update: Callable[[tirx.Expr], tirx.Expr]
) -> Callable[[Callable[[tirx.Expr], None]], None]:
    """`steps` times: every one of the sums (registers) updated once; the sums' total is handed on, so that nothing is
    dead code."""
    lanes = current().lanes
    sums = T.alloc_buffer((SUMS * lanes,), dtype, scope="local")
    for i in range(SUMS):
        store_vector(sums, i * lanes, splat(i, "int32", lanes) if dtype == "int32" else splat(float(i), dtype, lanes))
    with T.serial(0, steps):
        for i in range(SUMS):
            store_vector(sums, i * lanes, update(load_vector(sums, i * lanes, lanes)))

    def finish(emit: Callable[[tirx.Expr], None]) -> None:
        total = load_vector(sums, 0, lanes)
        for i in range(1, SUMS):
            total = total + load_vector(sums, i * lanes, lanes)
        emit(total)

    return finish


def _tiles(tasks: int, steps: int) -> tuple[tirx.PrimFunc, int]:
    """TDPBUSD, four accumulators, operands loaded once: 2 * 16 * 16 * 64 operations each."""

    def body() -> None:
        from tvm import tirx

        seed, config, out = (
            argument("seed", 1024, "uint8"),
            argument("config", 64, "uint8"),
            argument("out", tasks * 256, "int32"),
        )
        with T.parallel(0, tasks) as task:
            effect("llvm.x86.ldtilecfg", tirx.address_of(config[0]))
            for tile in range(4):
                effect("llvm.x86.tilezero", const(tile, "int8"))
                tile_load(4 + tile, seed, 0, VECTOR)
            with T.serial(0, steps):
                for tile in range(4):
                    tile_dot(tile, 4 + tile // 2, 6 + tile % 2)
            for tile in range(4):
                tile_store(tile, out, task * 256, VECTOR)
            effect("llvm.x86.tilerelease")

    return emit_kernel("peak_amx", body), steps * 4 * 2 * 16 * 16 * 64


def _reads(tasks: int, size: int, passes: int) -> tuple[tirx.PrimFunc, int]:
    """Every task reads its own `size` bytes, `passes` times."""
    vectors = 16

    def body() -> None:
        data, out = argument("data", tasks * size // 4, "int32"), argument("out", tasks * 16, "int32")
        with T.parallel(0, tasks) as task:
            sums = T.alloc_buffer((vectors * 16,), "int32", scope="local")
            for i in range(vectors):
                store_vector(sums, i * 16, splat(0, "int32"))
            with T.serial(0, passes), T.serial(0, size // VECTOR // vectors) as step:
                start = bind(task * (size // 4) + step * (vectors * 16))
                for i in range(vectors):
                    store_vector(sums, i * 16, load_vector(sums, i * 16, 16) + load_vector(data, start + i * 16, 16))
            total = load_vector(sums, 0, 16)
            for i in range(1, vectors):
                total = total + load_vector(sums, i * 16, 16)
            store_vector(out, task * 16, total)

    return emit_kernel("peak_read", body), passes * size


def measure_peak(spec: "TargetSpec", threads: int, runs: int = _RUNS) -> Peak:
    """Runs every loop on `threads` cores, `runs` times. spec: the TargetSpec whose dot product is meant; it must run
    here. With 40 runs about four seconds."""
    # Asking also gets the permission to use tiles.
    assert not missing(spec.features), f"{spec.name} lacks {missing(spec.features)}"
    with building_for(spec.dot):
        return _measure(spec, threads, runs)


def _measure(spec: "TargetSpec", threads: int, runs: int) -> Peak:
    int8 = _tiles if spec.tiles else _dots
    part = _MEMORY // _PARTS // threads // 4096 * 4096
    ops = _rate(
        spec, threads, runs, int8, _seed(1024 if spec.tiles else 64, "uint8"), 40_000 if spec.tiles else 400_000
    )
    flops = _rate(spec, threads, runs, _fmas, _seed(16, "float32"), 400_000)
    l2, l3 = (
        _rate(
            spec,
            threads,
            runs,
            lambda tasks, passes: _reads(tasks, size, passes),
            _seed(threads * size // 4, "int32"),
            passes,
        )
        for size, passes in ((_L2, 100), (_L3, 2))
    )
    memory = _rate(
        spec,
        threads,
        runs,
        lambda tasks, passes: _reads(tasks, part, passes),
        _seed(threads * part // 4, "int32"),
        1,
        _PARTS,
    )
    measured = Peak(threads, ops, flops, l2, l3, memory)
    # A nearer cache is never slower: then a neighbour was in the way.
    l3 = max(measured.l3_gbytes, measured.memory_gbytes)
    return replace(measured, l2_gbytes=max(measured.l2_gbytes, l3), l3_gbytes=l3)


def _seed(elements: int, dtype: str) -> np.ndarray:
    from ..native.stream import aligned

    array = aligned((elements,), dtype)
    array[:] = 1
    return array


def _copied(array: np.ndarray) -> np.ndarray:
    from ..native.stream import aligned

    copy = aligned(array.shape, array.dtype)
    copy[:] = array
    return copy


def _rate(
    spec: "TargetSpec",
    threads: int,
    runs: int,
    loop: Callable[[int, int], tuple[tirx.PrimFunc, int]],
    seed: np.ndarray,
    steps: int,
    parts: int = 1,
) -> float:
    """1e9 units per second, the best of many runs of about a millisecond, shorter than a time slice: a neighbour must
    not lower the limit; a unit is what `loop` counts. parts: copies of `seed` that the runs take turns with."""
    import tvm

    from ..native.stream import aligned
    from ..tvm.native_library import use_threads

    function, units = loop(threads, steps)
    kernel = tvm.compile(function, target=spec.tvm_target())[function.attrs["global_symbol"]]
    config = [_copied(tile_config(16))] if loop is _tiles else []
    out = aligned((threads * (256 if config else 16),), "float32" if seed.dtype == np.float32 else "int32")
    turns = [
        [tvm.runtime.from_dlpack(array) for array in (data, *config, out)]
        for data in (seed, *(_copied(seed) for _ in range(parts - 1)))
    ]
    use_threads(threads)
    seconds = []
    for run in range(runs):
        arguments = turns[run % parts]
        start = time.perf_counter()
        kernel(*arguments)
        seconds.append(time.perf_counter() - start)
    return threads * units / min(seconds) / 1e9
