"""What stands behind constants that choose no schedule, measured again on this machine.

usage: python tests/measure/fit_constants.py [--rounds 40]

Prints the table of docs/architecture.md, "Constants beside schedules". Sizes do not depend on the machine; times are
medians over rounds that take turns, on one core. The tile unit's row is left out where there is none."""

import argparse
import lzma
import time
from collections.abc import Callable
from unittest import mock

import numpy as np
import tvm
from fit_schedules import conv
from tvm import tirx
from tvm.tirx.script import builder as T

from octet.passes.lower.codegen import compile_module
from octet.targets import detect, packed
from octet.targets.cpu.expressions import effect
from octet.targets.native.stream import aligned
from octet.targets.x86 import specs
from octet.targets.x86.emulation.source import source_of
from octet.targets.x86.isa import building_for
from octet.targets.x86.kernel import argument, emit_kernel
from octet.targets.x86.layout import Layout
from octet.targets.x86.reformat import pack
from octet.targets.x86.reformat.choose import ReformatProblem
from octet.targets.x86.tiles import tile_config, tile_configure, tile_release
from octet.targets.x86.workload import workload_of
from octet.tuning.kinds.registry import case_of, kind_of

NARROW = next(spec for spec in specs.SPECS if spec.dot == "madd256")
TIMES = 10_000  # A loop calls it so often that the clock's own time counts for nothing.


def kernel_of(problem) -> tirx.PrimFunc:
    """The kernel for 256 bits without VPDPBUSD, which every x86 machine can compile."""
    return kind_of(workload_of(problem)).kernel(problem, case_of(workload_of(problem)), None, NARROW).func


def seconds(rounds: int, *calls: Callable[[], object]) -> list[float]:
    """The median CPU time of each, which take turns."""
    found = []
    for _ in range(rounds):
        row = []
        for call in calls:
            start = time.process_time_ns()
            call()
            row.append(time.process_time_ns() - start)
        found.append(row)
    return (np.median(found, axis=0) / 1e9).tolist()


def configuration(rounds: int) -> str:
    """the configuration of tiles loaded, or compared and left (`tile_configure`)"""

    def looped(load: bool) -> tirx.PrimFunc:
        def body() -> None:
            config = argument("config", 64, "uint8")
            tile_configure(config)
            with T.serial(0, TIMES):
                effect("llvm.x86.ldtilecfg", tirx.address_of(config[0])) if load else tile_configure(config)
            tile_release()

        return emit_kernel("configure", body)

    spec, config = detect.native(), aligned((64,), "uint8")
    config[:] = tile_config(16)
    with building_for(spec.dot):
        built = [tvm.compile(looped(load), target=spec.tvm_target())["configure"] for load in (True, False)]
    given = tvm.runtime.from_dlpack(config)
    loaded, compared = seconds(rounds, *(lambda kernel=kernel: kernel(given) for kernel in built))
    return f"{loaded / TIMES * 1e9:.0f} ns, {compared / TIMES * 1e9:.0f} ns"


def purity(rounds: int) -> str:
    """simplified TIR of a kernel that quantises on 256 bits: today's, and with pure instructions (`pure`)"""
    problem = ReformatProblem(
        Layout("plain", (1, 64, 28, 28), "float32"), Layout("nhwc", (1, 64, 28, 28), "int8"), 0.1, 3
    )
    plain = tirx.call_llvm_intrin

    def attributed(dtype: str, *rest) -> tirx.Expr:
        return (plain if dtype == "void" else tirx.call_llvm_pure_intrin)(dtype, *rest)

    sizes = []
    for spelling in (plain, attributed):
        with building_for(NARROW.dot), mock.patch.object(tirx, "call_llvm_intrin", spelling):
            func = pack.pack.__wrapped__(problem)
        sizes.append(len(tirx.transform.StmtSimplify()(tvm.IRModule({"kernel": func})).script()))
    return f"{sizes[0] / 1e6:.1f} MB, {sizes[1] / 1e6:.1f} MB"


def preset(rounds: int) -> str:
    """LLVM IR of a convolution, packed: `_PRESET`, and xz's own"""
    module = compile_module(tvm.IRModule({"kernel": kernel_of(conv(64, 28, 64))}), NARROW)
    text = source_of(module.mod.inspect_source("ll")).encode()
    presets = packed._PRESET, lzma.PRESET_DEFAULT
    calls = [lambda one=one: lzma.compress(text, lzma.FORMAT_XZ, lzma.CHECK_CRC32, one) for one in presets]
    ours, other = seconds(rounds, *calls)
    sizes = [len(text) / len(call()) for call in calls]
    return f"1/{sizes[0]:.1f} of its size; 1/{sizes[1]:.1f} in {other / ours:.1f} of the time"


def expansion(rounds: int) -> str:
    """a template expanded for one schedule: a 3 x 3 and a 1 x 1 layer"""
    found = seconds(rounds, *(lambda p=p: _expanded(p) for p in (conv(64, 56, 64, 3), conv(256, 14, 256))))
    return ", ".join(f"{1e3 * each:.0f} ms" for each in found)


def _expanded(problem) -> None:
    with building_for(NARROW.dot):
        kernel_of(problem)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    rounds, tiles = parser.parse_args().rounds, detect.native().tiles
    print(f"| {detect.cpu_name()} | measured |\n|---|---|")
    for constant in (configuration, purity, preset, expansion)[0 if tiles else 1 :]:
        print(f"| {constant.__doc__} | {constant(rounds)} |", flush=True)


if __name__ == "__main__":
    main()
