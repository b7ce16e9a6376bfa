"""Tensor cores by wgmma: the referee's bytes, faults of every mechanism, and the instruction in the machine code."""

import importlib.util
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cuda_harness import (
    batched_product,
    differences,
    emulator,
    machine_code,
    nets,
    planted,
    planted_faults,
    residual_layer,
)

from octet.targets.cuda.compiling import compiler
from octet.targets.cuda.compiling.source import source
from octet.targets.cuda.emulator import EmulationError
from octet.targets.cuda.kernels.conv import Conv, Epilogue, tiled_kernel
from octet.targets.cuda.kernels.conv_schedule import WGMMA, Tile, candidates, tile_for
from octet.targets.cuda.kernels.window import ROW
from octet.targets.registry import find
from octet.targets.tuned import Tuned

SM90A = find("cuda-sm90a")
# Two warpgroups side by side, two instructions of one, rows of 64 and of 128 bytes, one of 32.
TILES = {
    "columns": Tile(64, 128, 128, 4, 2, 3, wmma=WGMMA),
    "rows": Tile(256, 64, 64, 8, 1, 4, wmma=WGMMA),
    "narrow": Tile(64, 64, 32, 4, 1, 5, wmma=WGMMA),
}
FAULTS = {
    "no proxy fence": ("conv_mma.cuh", "      proxy_fence();\n", ""),
    "a barrier too few": (
        "conv_mma.cuh",
        "      barrier();  // the stage is there, and the one",
        "      // the stage is there, and the one",
    ),
    "copies that are not there": (
        "conv_mma.cuh",
        "      copy_wait<ahead - 1>();\n      proxy",
        "      copy_wait<ahead>();\n      proxy",
    ),
    "products that nobody waits for": ("conv_mma.cuh", "      wgmma_wait<1>();\n", ""),
    "two groups of products under way": ("conv_mma.cuh", "wgmma_wait<1>();", "wgmma_wait<2>();"),
    "a stage that is still read": ("conv_mma.cuh", "T.stages - (by_wgmma(T) ? 2 : 1)", "T.stages - 1"),
    "sums that are not there": ("tiles.cuh", "    wgmma_wait<0>();\n", ""),
    "the last products": ("tiles.cuh", "    wgmma_wait<0>();\n", "    wgmma_wait<1>();\n"),
    "no fence of the sums": ("tiles.cuh", "    wgmma_fence();\n", ""),
    "a group that is not closed": ("tiles.cuh", "    wgmma_commit();\n", ""),
    "results stored where stages are read": (
        "conv_mma.cuh",
        "    barrier();  // results are stored where stages lie\n",
        "",
    ),
    "bytes of the next product": ("tiles.cuh", "weights + 32 * k)", "weights + 16 * k)"),
    "rows of the next instruction": ("tiles.cuh", "data + 64 * i * T.depth", "data + 32 * i * T.depth"),
    "warpgroup": ("conv_mma.cuh", "uniform(threadIdx.x / 128) * 4", "0"),
    "a warp's own rows": ("tiles.cuh", "warp % 4 * 16", "warp % 2 * 16"),
    "distance of eight rows": ("wgmma.cuh", "eight_rows = 8 * depth / 16;", "eight_rows = 8;"),
    "swizzle": (
        "wgmma.cuh",
        "depth == 128 ? 1 : depth == 64 ? 2 : 3, eight",
        "depth == 128 ? 2 : depth == 64 ? 3 : 1, eight",
    ),
    "no swizzle": ("wgmma.cuh", "return swizzle << 62 | ", "return "),
    "address in bytes": ("wgmma.cuh", "& 0x3ffff) >> 4;", "& 0x3ffff);"),
    "granules of a tile": (
        "tiles.cuh",
        "granules >= 8 ? 0 : granules == 4 ? 1 : 2",
        "granules >= 8 ? 1 : granules == 4 ? 2 : 0",
    ),
}


def _with(tile=None, splits=1):
    """Every tile by wgmma."""

    def tuned(workload):
        return Tuned(replace(tile or tile_for(workload.problem, SM90A, WGMMA), splits=splits), "test")

    return tuned


@pytest.fixture(scope="module")
def tests():
    """The file of convolutions."""
    spec = importlib.util.spec_from_file_location("cuda_wgmma_conv", Path(__file__).parents[1] / "test_conv.py")
    sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def layer():
    """Several blocks, warpgroups and steps, classes of biases, a residual."""
    module, inputs = residual_layer(np.random.default_rng(4), 144, 136, 12, 99, 0.0008)
    return module, inputs


@pytest.mark.parametrize("tile", TILES)
def test_every_kind_of_tile_agrees_with_the_referee(tile, layer):
    module, inputs = layer
    made = nets([module, module], SM90A, [_with(TILES[tile], splits) for splits in (1, 3)])
    emulated = emulator(made)
    for net in made:
        assert {step.kernel for step in net.steps if step.macs} == {"wgmma_conv2d"}
        assert differences(emulated, net, module, inputs) == []


def test_convolutions_agree_with_the_referee(tests):
    cases = [
        tests.convolution(tests.CASES[name], i)
        for i, name in enumerate(("first layer", "few outputs", "uneven", "groups of 16", "to float"))
    ]
    made = nets([module for module, _ in cases], SM90A, _with())
    emulated = emulator(made)
    assert {step.kernel for net in made for step in net.steps if step.macs} == {"wgmma_conv2d"}
    for net, (module, inputs) in zip(made, cases, strict=True):
        assert differences(emulated, net, module, inputs, seeds=(0, 3, 5)) == []


def test_products_agree_with_the_referee():
    module, inputs = batched_product(np.random.default_rng(7))
    made = nets([module], SM90A, _with())
    assert "wgmma_matmul" in {step.kernel for step in made[0].steps}
    assert differences(emulator(made), made[0], module, inputs, seeds=(1, 2)) == []


@pytest.mark.parametrize("fault", planted_faults(FAULTS))
def test_fault_is_caught(fault, layer, tmp_path):
    made, (module, inputs) = nets([layer[0]], SM90A, _with(TILES["rows"])), layer
    emulated = emulator(made, planted(tmp_path, *FAULTS[fault]))
    try:
        assert any(differences(emulated, made[0], module, inputs, seeds=(seed,)) for seed in range(4))
    except EmulationError:
        pass


def test_large_products_are_by_wgmma_and_small_ones_are_not():
    large, small = (Conv(rows, *ROW, 768, 768, 1, 768, 768, 3) for rows in (4096, 128))
    assert (
        tile_for(large, SM90A).by_wgmma
        and not tile_for(small, SM90A).by_wgmma
        and not tile_for(large, find("cuda-sm90")).by_wgmma
    )


def test_machine_code_has_products_in_a_row_and_no_spills(tmp_path):
    """In a stage the instructions of a warpgroup follow one another: ptxas waits for each where it finds their sums
    touched between."""
    try:
        compiler.find_compiler("90a")
    except Exception as error:
        pytest.skip(str(error))
    problem, epilogue = (
        Conv(4096, *ROW, 1024, 1024, 1, 1024, 1024, 0),
        Epilogue(False, 0, -128, 127, 0.0, 0.0, False, 0, 0.0),
    )
    kernels = {
        tiled_kernel("dense", problem, epilogue, tile, SM90A): f"octet_{i}"
        for i, tile in enumerate(candidates(SM90A, WGMMA)[::2])
    }
    code, usage = compiler.compile_cubin(source(kernels), "90a")
    assert {(used.spills, used.stack) for used in usage.values()} == {(0, 0)} and len(usage) == len(kernels)
    (tmp_path / "k.cubin").write_bytes(code)
    if (listed := machine_code(tmp_path / "k.cubin")) is not None:
        functions = listed.split("Function : ")[1:]
        assert len(functions) == len(kernels)
        for function in functions:
            assert (
                len(re.findall(r"IGMMA\.64x\d+x32\.S8\.S8", function)) in (2, 4, 8)
                and function.count("WARPGROUP.DEPBAR") == 2
            )
