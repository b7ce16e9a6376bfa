"""The analytical estimate: what a multiprocessor holds, and what bounds a layer."""

from dataclasses import replace

from octet.targets.cuda.kernels.conv import Conv
from octet.targets.cuda.kernels.conv_schedule import Tile, estimated_clocks, resident, tile_for
from octet.targets.cuda.kernels.window import ROW
from octet.targets.registry import find

SM90, SM75 = find("cuda-sm90"), find("cuda-sm75")
LARGE, SMALL = Tile(256, 128, 64, 4, 2, 4), Tile(64, 64, 64, 2, 2, 4)


def dense(rows, depth, columns):
    return Conv(rows, *ROW, depth, columns, 1, depth, columns, 3)


def test_registers_shared_memory_and_threads_bound_the_blocks_of_a_multiprocessor():
    assert (
        2 * LARGE.shared_bytes < SM90.extra["shared_bytes"] and resident(LARGE, SM90) == 1
    )  # Each of its 256 threads has 244 registers.
    assert resident(SMALL, SM90) == 4
    # It takes 56 KiB: four of them are 224 of 228 KiB, and each costs something beside.
    deep = replace(SMALL, stages=7)
    assert resident(deep, SM90) == 4 and resident(replace(deep, columns=80, warp_columns=1), SM90) == 3
    assert SMALL.shared_bytes == 32 << 10 and resident(SMALL, SM75) == 2  # Nothing is kept back on this target.


def test_a_layer_takes_what_memory_needs_for_its_operands():
    layer = dense(1 << 20, 32, 32)
    tile = tile_for(layer, SM90)
    bytes_per_clock = SM90.extra["memory_bytes"] * SM90.extra["multiprocessors"]
    assert estimated_clocks(layer, tile, SM90) >= (2 * (32 << 20) + 32 * 32) / bytes_per_clock


def test_more_results_of_the_same_sums_take_longer():
    """The epilogue counts: as many products, four times as many results."""
    one, other = dense(8192, 2048, 1024), dense(8192, 512, 4096)
    assert one.macs == other.macs and estimated_clocks(other, LARGE, SM90) > estimated_clocks(one, LARGE, SM90)
