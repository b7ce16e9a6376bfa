"""What the analytical schedules of CPU kernels choose by a fitted constant, measured again on this machine.

usage: python tests/measure/fit_schedules.py [--rounds 40]

Prints the table of docs/architecture.md, "Schedules and their alternatives": of every choice the time of the schedule
that is not chosen over the time of the one that is (above 1: the choice is right), kernels in turns on one core, the
median over rounds. A choice that this processor does not have (tiles, 512-bit vectors) is left out."""

import argparse
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from octet.targets import detect
from octet.targets.measure.batch import Batch, run_batch
from octet.targets.x86.conv import amx, depthwise_schedule, direct_schedule
from octet.targets.x86.conv.choose import family_of
from octet.targets.x86.conv.problem import ConvProblem, Epilogue
from octet.targets.x86.isa import UNITS, building_for
from octet.targets.x86.matmul import schedule as product
from octet.targets.x86.matmul.problem import MatmulProblem, Matrices, SoftmaxEpilogue
from octet.targets.x86.workload import workload_of
from octet.tuning.builder import build
from octet.tuning.jobs import task_of
from octet.tuning.kinds.registry import case_of

Choice = tuple[str, object, object, object]  # (what, problem, the schedule that is chosen, the other one)


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
    """epilogues woven into products (`linear`)"""
    for rows in (16, 128):
        p = replace(conv(768, 1, 768), batch=rows)
        chosen = amx.default_schedule(p)
        yield f"{rows} rows of 768", p, chosen, replace(chosen, woven=not chosen.woven)


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


def choices(dot: str) -> list:
    """Those that a unit has."""
    return [*([tiles, woven] if UNITS[dot].tiles else []), *([alone, copied] if UNITS[dot].parts == 1 else [])]


def ratio(problem, chosen, other, rounds: int, spec) -> float:
    """Time of the other schedule over that of the chosen one."""
    workload = workload_of(problem)
    case = case_of(workload)
    built = [build(workload, schedule, case, spec) for schedule in (chosen, other)]
    task, blobs = task_of(workload, 1, case.made, case.output, built)
    found = run_batch(Batch("cpu", task, blobs, rounds))
    assert not found.errors, found.errors
    other_seconds = found.seconds[1]  # fewer rounds where the kernel is hopeless
    return float(np.median(other_seconds / found.seconds[0][: len(other_seconds)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    rounds, spec = parser.parse_args().rounds, detect.native()
    print(f"| {detect.cpu_name()}, target {spec.name} | time of the other schedule over the chosen one's |\n|---|---|")
    for choice in choices(spec.dot):
        with building_for(spec.dot):
            every = list(choice(spec.dot))
        found = [f"{what}: {ratio(p, *schedules, rounds, spec):.2f}" for what, p, *schedules in every]
        print(f"| {choice.__doc__} | {'; '.join(found)} |", flush=True)


if __name__ == "__main__":
    main()
