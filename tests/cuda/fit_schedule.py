"""Fits the constants of conv_schedule's estimate to what a device measured.

usage: python tests/cuda/fit_schedule.py RESULTS.jsonl [--target cuda-sm90] [--rounds 6000]

RESULTS.jsonl is what on_device.py wrote (stages profile and tiles). Prints the constants, the mean error before and
after, and what the networks would take with the tiles that the new constants choose. The search walks at random from
today's constants; its seed is fixed."""

import argparse
import functools
import json
import math
import random
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "run"))
from tile_layer import WAVES, Layer

from octet.targets.cuda.kernels.conv import Conv
from octet.targets.cuda.kernels.conv_schedule import (
    COSTS,
    SPLITS,
    TURNS,
    WGMMA,
    Costs,
    Tile,
    buildable,
    candidates,
    depth_of,
    estimated_clocks,
    rounded_up,
    units,
)
from octet.targets.registry import find

_WORST = 1.5  # Beyond this logarithm of a ratio a layer counts no more: something else is wrong with it.


@dataclass(frozen=True)
class Measured:
    """A layer on a tile, and its microseconds."""

    item: str
    problem: Conv
    tile: Tile
    us: float


def conv(images, channels, size, outputs, kernel=1, stride=1) -> Conv:
    """A square layer with half of its kernel as padding. size: pixels of a side, or (height, width)."""
    height, width = size if isinstance(size, tuple) else (size, size)
    pad = kernel // 2
    out = [(extent + 2 * pad - kernel) // stride + 1 for extent in (height, width)]
    data = 4 if channels <= 4 else rounded_up(channels, 16)
    return Conv(
        images,
        height,
        width,
        *out,
        kernel,
        kernel,
        stride,
        stride,
        1,
        1,
        pad,
        pad,
        data,
        rounded_up(outputs, 16),
        1,
        channels,
        outputs,
        -9,
    )


def resnet50(images) -> list[Conv]:
    layers, channels, size = [conv(images, 3, 224, 64, 7, 2)], 64, 56
    for blocks, width in ((3, 64), (4, 128), (6, 256), (3, 512)):
        for block in range(blocks):
            stride = 2 if block == 0 and width > 64 else 1
            layers += [conv(images, channels, size, width), conv(images, width, size, width, 3, stride)]
            if block == 0:
                layers.append(conv(images, channels, size, 4 * width, 1, stride))
            channels, size = 4 * width, size // stride
            layers.append(conv(images, width, size, channels))
    return layers


def bert_base(images) -> list[Conv]:
    tokens = (128 * images, 1)
    return 12 * (
        [conv(1, 768, tokens, outputs) for outputs in (768, 768, 768, 768, 2304, 3072)] + [conv(1, 3072, tokens, 768)]
    )


FAMILIES = ("mma_conv2d", "wgmma_conv2d", "turns_conv2d")
NETWORKS = {"resnet50": resnet50, "bert_base": bert_base}


def measured(rows, networks=None) -> list[Measured]:
    """What the rows of a results file say of tiles, but for those of WMMA. A kernel of a network is the layer with its
    multiply-adds and the most similar bytes, and of those the next in the network's order: a layer that widens moves as
    many bytes as the one that narrows again."""
    networks, found = networks or NETWORKS, []
    for row in rows:
        if row["stage"] == "profile" and "kernels" in row:
            name, batch = row["item"].removeprefix("kernels of ").split(", batch ")
            left = list(enumerate(networks[name](int(batch))))
            for _, family, schedule, macs, moved, us in row["kernels"]:
                fitting = [(abs(_moved(layer) - moved), place, layer) for place, layer in left if _macs(layer) == macs]
                if family in FAMILIES and fitting:
                    _, place, layer = min(fitting, key=lambda one: one[:2])
                    left.remove((place, layer))
                    found.append(Measured(row["item"], layer, _tile(schedule), us))
        if row["stage"] == "tiles" and "us" in row:
            found.append(Measured("tiles", _tried_on(row["kind"]), Tile(*row["tile"]), row["us"]))
    return [one for one in found if one.tile.wmma in (0, WGMMA, TURNS)]


@functools.cache
def _tried_on(kind: str) -> Conv:
    """The layer of the stage `tiles`."""
    return Layer(kind, WAVES).problem


def _macs(p):
    return p.pixels * p.outputs * p.kernel_height * p.kernel_width * p.channels


def _moved(p):
    return p.images * p.height * p.width * p.stride + p.pixels * p.out_stride + p.outputs * depth_of(p)


def _tile(text) -> Tile:
    given = dict(part.split("=") for part in text.split())
    return Tile(**{name: int(value) for name, value in given.items()})


def error(layers, spec, costs: Costs, clock: float) -> float:
    """Mean of |log(measured / estimated)|. clock: of the device, in MHz."""
    logs = [abs(math.log(one.us * clock / estimated_clocks(one.problem, one.tile, spec, costs))) for one in layers]
    return sum(min(value, _WORST) for value in logs) / len(logs)


def fitted(layers, spec, clock: float, rounds: int, start: Costs = COSTS) -> Costs:
    """The constants of the least error that a walk of so many steps meets."""
    rng, best, least = random.Random(0), start, error(layers, spec, start, clock)
    names = list(asdict(start))
    for _ in range(rounds):
        changed = {}
        for name in rng.sample(names, rng.choice((1, 1, 2, 3))):
            value = getattr(best, name) * math.exp(rng.gauss(0, rng.choice((0.05, 0.3))))
            changed[name] = min(8, max(1, round(value))) if name == "resident" else value
        tried = replace(best, **changed)
        if tried.efficiency <= 1.2 and (found := error(layers, spec, tried, clock)) < least:
            best, least = tried, found
    return best


def chosen(layers, spec, costs: Costs, clock: float) -> dict[str, tuple[float, float]]:
    """{item: (microseconds of the tiles that were measured, of those that the constants choose)}, both as estimated."""
    sums, offered = {}, [tile for unit in units(spec, False) for tile in candidates(spec, unit)]
    for one in layers:
        tiles = [replace(tile, splits=splits) for tile in offered for splits in SPLITS]
        least = min(
            estimated_clocks(one.problem, tile, spec, costs) for tile in tiles if buildable(one.problem, tile, spec)
        )
        before, after = sums.get(one.item, (0.0, 0.0))
        sums[one.item] = (before + estimated_clocks(one.problem, one.tile, spec, costs) / clock, after + least / clock)
    return sums


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--target", default="cuda-sm90")
    parser.add_argument("--rounds", type=int, default=6000)
    parser.add_argument("--clock", type=float, default=1755.0, help="of the device, in MHz")
    options = parser.parse_args(arguments)
    spec = find(options.target)
    layers = measured([json.loads(line) for line in options.results.read_text().splitlines()])
    costs = fitted(layers, spec, options.clock, options.rounds)
    before, after = (error(layers, spec, one, options.clock) for one in (COSTS, costs))
    print(f"{len(layers)} layers; mean error {before:.3f}, fitted {after:.3f}")
    print({name: round(value, 3) for name, value in asdict(costs).items()})
    for item, (here, then) in chosen(layers, spec, costs, options.clock).items():
        print(
            f"{item}: measured {sum(one.us for one in layers if one.item == item):.0f} us, estimated {here:.0f}, "
            f"chosen {then:.0f}"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
