"""What a device measured is recognised, and the fit finds its way back to constants that made the times."""

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from fit_schedule import _macs, _moved, error, fitted, measured, resnet50

from octet.targets.cuda.kernels.conv_schedule import COSTS, candidates, estimated_clocks
from octet.targets.registry import find

SM90 = find("cuda-sm90")
CLOCK = 1755.0


def _schedule(tile):
    fields = ("rows", "columns", "depth", "warp_rows", "warp_columns", "stages", "splits", "wmma")
    return " ".join(f"{name}={getattr(tile, name)}" for name in fields)


def _rows(costs):
    """A profile of ResNet-50 as a device with these constants would measure it, layer by layer on the tiles in turn."""
    tiles, layers = candidates(SM90), resnet50(4)
    kernels = []
    for number, layer in enumerate(layers):
        tile = tiles[number % len(tiles)]
        us = estimated_clocks(layer, tile, SM90, costs) / CLOCK
        kernels.append([f"{number}:conv", "mma_conv2d", _schedule(tile), _macs(layer), _moved(layer), us])
    return [{"stage": "machine"}, {"stage": "profile", "item": "kernels of resnet50, batch 4", "kernels": kernels}]


def test_layers_are_recognised_by_their_work():
    found = measured(_rows(COSTS))
    assert len(found) == 53 and error(found, SM90, COSTS, CLOCK) < 1e-9


def test_the_fit_lessens_the_error():
    other = replace(COSTS, chain=20.0, start=1500.0, gather=40.0)
    found = measured(_rows(other))
    before = error(found, SM90, COSTS, CLOCK)
    assert before > 0.1
    assert error(found, SM90, fitted(found, SM90, CLOCK, 400), CLOCK) < before / 2


def test_tiles_belong_to_the_layer_that_they_were_tried_on():
    tile = [128, 128, 64, 2, 2, 4, 1, 0]
    rows = [{"stage": "tiles", "kind": kind, "tile": tile, "us": 9.0} for kind in ("table", "widens")]
    assert [(one.problem.kernel_height, one.problem.outputs) for one in measured(rows)] == [(3, 240), (1, 3072)]
