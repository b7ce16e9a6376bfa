"""What the analytical schedules of CPU kernels choose by a fitted constant, measured again on this machine.

usage: python tests/measure/fit_schedules.py [--rounds 40]

Prints the table of docs/architecture.md, "Schedules and their alternatives": of every choice the time of the schedule
that is not chosen over the time of the one that is (above 1: the choice is right), kernels in turns on one core, the
median over rounds. A choice that this processor does not have (tiles, 512-bit vectors, two cores) is left out."""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from unittest import mock

import numpy as np

from octet.targets import detect
from octet.targets.measure.batch import Batch, run_batch
from octet.targets.spec import TargetSpec
from octet.targets.x86.conv import amx, depthwise_schedule, direct_schedule, listed
from octet.targets.x86.conv.choose import family_of
from octet.targets.x86.conv.problem import ConvProblem, Epilogue
from octet.targets.x86.elementwise.integer import BinaryProblem
from octet.targets.x86.isa import UNITS, building_for
from octet.targets.x86.matmul import schedule as product
from octet.targets.x86.matmul.problem import MatmulProblem, Matrices, SoftmaxEpilogue
from octet.targets.x86.vector_loops import LIGHT_BYTES, PARALLEL_BYTES, default_loops
from octet.targets.x86.workload import workload_of
from octet.tuning.builder import build
from octet.tuning.jobs import task_of
from octet.tuning.kinds.registry import case_of

# It holds what is compared, the problem, the schedule that is chosen and the other one.
Choice = tuple[str, object, object, object]


def conv(channels: int, size: int, out: int, kernel: int = 1, groups: int = 1) -> ConvProblem:
    shape = (1, channels, size, size, out, (kernel, kernel), (1, 1), (kernel // 2,) * 4, (1, 1), groups)
    return ConvProblem("int8", *shape, 0, Epilogue("int8", 4, -128, 127))


def scores(columns: int, heads: int = 12, rows: int = 64, depth: int = 64) -> MatmulProblem:
    """Queries times keys with the softmax behind them, heads side by side."""
    queries = Matrices(rows * heads * depth, 0, (depth,), heads * depth, 1)
    keys = Matrices(columns * heads * depth, 0, (depth,), 1, heads * depth)
    stride = -(-columns // 16) * 16
    result = Matrices(heads * rows * stride, 0, (rows * stride,), stride, 1)
    softmax = SoftmaxEpilogue(0.125, None, 1 / 255, -128)
    return MatmulProblem((heads,), rows, depth, columns, queries, keys, result, 0.002, softmax=softmax)


def tiles(dot: str) -> Iterator[Choice]:
    """layers on the tile unit (`_tiles_pay`)"""
    for what, p in (
        ("3 x 3, 64 -> 64, 56^2", conv(64, 56, 64, 3)),
        ("1 x 1, 32 -> 64, 28^2", conv(32, 28, 64)),
        ("16 -> 96", conv(16, 28, 96)),
        ("one row of 128", conv(128, 1, 128)),
        ("of 768", conv(768, 1, 768)),
    ):
        made = amx.default_schedule(p), direct_schedule.default_schedule(p)
        yield what, p, *(made if family_of(p, dot) == "amx" else made[::-1])


def woven(dot: str) -> Iterator[Choice]:
    """epilogues woven into products and long convolutions (`weaves`)"""
    products = [(f"{rows} rows of 768", replace(conv(768, 1, 768), batch=rows)) for rows in (16, 128)]
    layers = [
        (f"3 x 3, {channels} -> {out}, {size}^2", conv(channels, size, out, 3))
        for channels, out, size in ((64, 64, 224), (256, 256, 56), (128, 64, 384))
    ]
    for what, p in products + layers:
        chosen = amx.default_schedule(p)
        yield what, p, chosen, replace(chosen, woven=not chosen.woven)


def alone(dot: str) -> Iterator[Choice]:
    """tiles of rows per softmax (`_ALONE`)"""
    for columns in (48, 96, 160, 256):
        p = scores(columns)
        chosen = product.default_schedule(p)
        yield f"12 heads, {columns} columns", p, chosen, replace(chosen, tiles=3 - chosen.tiles)


def copied(dot: str) -> Iterator[Choice]:
    """depthwise layers that copy their input (`staged`)"""
    for channels, size, kernel in ((96, 56, 3), (144, 28, 3), (384, 14, 3), (96, 28, 5)):
        p = conv(channels, size, channels, kernel, channels)
        chosen = depthwise_schedule.default_schedule(p)
        yield f"{kernel} x {kernel}, {channels}, {size}^2", p, chosen, replace(chosen, staged=not chosen.staged)


def pixels(dot: str) -> Iterator[Choice]:
    """register tiles chosen as if beginning one took no time (`TILE`)"""
    for size in (7, 17, 20, 40):
        p = conv(256, size, 256)
        with mock.patch.object(direct_schedule, "TILE", 0):
            other = direct_schedule.default_schedule(p)
        yield f"1 x 1, 256, {size}^2", p, direct_schedule.default_schedule(p), other


def spilled(dot: str) -> Iterator[Choice]:
    """without VPDPBUSD, 256 bits: a pixel more or fewer than registers hold (`_pixels`)"""
    for size, kernel in ((7, 3), (14, 3), (14, 1), (28, 3)):
        p = conv(128, size, 128, kernel)
        chosen, most = listed.default_schedule(p), listed.most_pixels(1)
        yield (
            f"{kernel} x {kernel}, {size}^2, {chosen.pixels} pixels",
            p,
            chosen,
            replace(chosen, pixels=most if chosen.pixels > most else most + 1),
        )


def shared(dot: str) -> Iterator[Choice]:
    """loops of vectors on two cores or one (`PARALLEL_BYTES`)"""
    for traffic in (PARALLEL_BYTES // 4, PARALLEL_BYTES, LIGHT_BYTES):
        p = BinaryProblem("add", 1, traffic // 3 // 64, 64, 3, -4, 5, 0.7, 1.1)
        chosen = default_loops(p)
        yield f"sum, {p.traffic >> 10} KiB", p, chosen, replace(chosen, parallel=not chosen.parallel)


def choices(spec: TargetSpec) -> list:
    """Those that the machine has, with the target that each is built for."""
    unit = UNITS[spec.dot]
    found = [*([tiles, woven] if unit.tiles else []), *([alone, copied] if unit.parts == 1 else [])]
    found += [pixels] if unit.vnni else []
    return [
        *((choice, spec) for choice in found),
        *((spilled, one) for one in detect.runnable() if one.dot == "madd256"),
        *([(shared, spec)] if detect.cores() > 1 else []),
    ]


def ratio(problem, chosen, other, rounds: int, spec: TargetSpec, threads: int) -> float:
    """Time of the other schedule over that of the chosen one, on so many cores."""
    workload = workload_of(problem)
    case = case_of(workload)
    built = [build(workload, schedule, case, spec) for schedule in (chosen, other)]
    task, blobs = task_of(workload, 1, case.made, case.output, built)
    found = run_batch(Batch("cpu", task, blobs, rounds, (threads,)))
    assert not found.errors, found.errors
    other_seconds = found.seconds[1]  # A hopeless kernel is run in fewer rounds.
    return float(np.median(other_seconds / found.seconds[0][: len(other_seconds)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    rounds, spec = parser.parse_args().rounds, detect.native()
    print(f"| {detect.cpu_name()}, target {spec.name} | time of the other schedule over the chosen one's |\n|---|---|")
    for choice, built_for in choices(spec):
        with building_for(built_for.dot):
            every = list(choice(built_for.dot))
        threads = 2 if choice is shared else 1
        found = [f"{what}: {ratio(p, *schedules, rounds, built_for, threads):.2f}" for what, p, *schedules in every]
        print(f"| {choice.__doc__} | {'; '.join(found)} |", flush=True)


if __name__ == "__main__":
    main()
