"""Two warpgroups that take turns with tiles: the referee's bytes, faults of every mechanism, and the machine code."""

import importlib.util
import itertools
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cuda_harness import differences, emulator, function, machine_code, nets, planted, planted_faults, residual_layer

from octet.targets.cuda.compiling import compiler
from octet.targets.cuda.compiling.source import source
from octet.targets.cuda.emulator import EmulationError
from octet.targets.cuda.kernels.conv import Conv, Epilogue, fits_tiles, tiled_kernel
from octet.targets.cuda.kernels.conv_schedule import TURNS, Tile, buildable, candidates
from octet.targets.cuda.kernels.window import ROW
from octet.targets.registry import find
from octet.targets.tuned import Tuned

SM90A = find("cuda-sm90a")
# So few multiprocessors that a block makes several tiles.
FEW = replace(SM90A, extra=SM90A.extra | {"multiprocessors": 2})
TILES = {
    "rows": Tile(128, 64, 64, 4, 1, 4, wmma=TURNS),
    "columns": Tile(64, 128, 128, 4, 1, 3, wmma=TURNS),
    "narrow": Tile(64, 64, 32, 4, 1, 6, wmma=TURNS),
}
_FILE = "conv_turns.cuh"
FAULTS = {
    "a stage that is not there": (_FILE, "      mbarrier_wait(block.loaded(from.slot), from.parity);\n", ""),
    "parity of a stage": (_FILE, "loaded(from.slot), from.parity)", "loaded(from.slot), from.parity ^ 1)"),
    "a stage that is still read": (_FILE, "      mbarrier_wait(block.read(to.slot), to.parity ^ 1);", "      "),
    "parity of the reads": (_FILE, "to.parity ^ 1", "to.parity"),
    "parity that never turns": (_FILE, "    parity ^= slot / stages & 1;\n", ""),
    "more bytes than come": (_FILE, "(to.slot), B::weight_bytes);", "(to.slot), B::weight_bytes + 16);"),
    "fewer bytes than come": (_FILE, "(to.slot), B::weight_bytes);", "(to.slot), B::weight_bytes - 16);"),
    "bytes that nobody expects": (_FILE, "mbarrier_arrive_expecting(block.loaded(to.slot), B::weight_bytes)", "mbarrier_arrive(block.loaded(to.slot))"),
    "a copy that is cut off": (_FILE, "B::weight_bytes, B::weight_bytes, block", "B::weight_bytes, B::weight_bytes - 16, block"),
    "a copy that arrives elsewhere": (_FILE, "B::weight_bytes, block.loaded(to.slot)", "B::weight_bytes, block.loaded(0)"),
    "weights of the step before": (_FILE, "from + step * B::weight_bytes", "from + (step > 0 ? step - 1 : 0) * B::weight_bytes"),
    "weights of other columns": (_FILE, "static_cast<long>(down) *", "static_cast<long>(across) *"),
    "nobody says that a stage was read": (_FILE, "      if (step > 0) arrive_once(block.read(before));\n", ""),
    "the last stage is never given back": (_FILE, "    arrive_once(block.read(before));\n    from", "    from"),
    "read before the products are made": (_FILE, "      wgmma_wait<1>();\n", ""),
    "two groups of products under way": (_FILE, "wgmma_wait<1>();", "wgmma_wait<2>();"),
    "given back too early": (_FILE, "arrive_once(block.read(before));\n      before", "arrive_once(block.read(from.slot));\n      before"),
    "given back before the last products": (_FILE, "    result.wait_for_all();\n    arrive_once(block.read(before));", "    arrive_once(block.read(before));\n    result.wait_for_all();"),
    "a loader that does not say so": (_FILE, "    arrive_once(block.loaded(there.slot));\n", ""),
    "told before the copies came": (_FILE, "        copy_wait<B::lag>();\n", ""),
    "told one stage early": (_FILE, "copy_wait<B::lag>()", "copy_wait<B::lag + 1>()"),
    "the last stages told early": (_FILE, "  copy_wait<0>();\n", ""),
    "the last stages never told": (_FILE, "  for (; under_way > 0; --under_way) tell();\n", ""),
    "no proxy fence of a stage": (_FILE, "    proxy_fence();\n    arrive", "    arrive"),
    "no proxy fence of the mbarriers": (_FILE, "    proxy_fence();\n  }\n  barrier", "  }\n  barrier"),
    "no barrier behind the mbarriers": (_FILE, "  barrier();\n  const int role", "  const int role"),
    "arrivals of one warp": (_FILE, "B::warps + 1);", "2);"),
    "arrivals of all threads": (_FILE, "  if (threadIdx.x % 32 == 0) mbarrier_arrive(at);", "  mbarrier_arrive(at);"),
    "a warp that is not together": (_FILE, "  warp_barrier();\n  if (threadIdx", "  if (threadIdx"),
    "out of turn": (_FILE, "    mbarrier_wait(block.turn_of(turn), parity);", "    "),
    "parity of the turns": (_FILE, "parity = turn == 0;", "parity = turn;"),
    "a turn that is not given": (_FILE, "    arrive_once(block.turn_of(1 - turn));", "    "),
    "a turn given to oneself": (_FILE, "block.turn_of(1 - turn));", "block.turn_of(turn));"),
    "the other's results": (_FILE, "finish<P, T, E, Views{}>(result, block.staged(turn)", "finish<P, T, E, Views{}>(result, block.staged(0)"),
    "results that are still stored": (_FILE, "    team_barrier<T>();       //", "    //"),
    "stages of the other": (_FILE, "    from.advance(B::steps);  //", "    //"),
    "the second begins with the first stage": (_FILE, "  from.advance(turn * B::steps);\n", ""),
    "tiles of the other": (_FILE, "tile = blockIdx.x + turn * gridDim.x;", "tile = blockIdx.x;"),
    "tiles of other blocks": (_FILE, "tile += 2 * gridDim.x", "tile += gridDim.x"),
    "a loader beyond the last tile": (_FILE, "tile < B::across * B::down; tile += gridDim.x", "tile <= B::across * B::down; tile += gridDim.x"),
    "a barrier of both": ("tiles.cuh", "barrier_of(1 + threadIdx.x / threads_of(T), threads_of(T))", "barrier_of(1, threads_of(T))"),
    "a barrier of too few": ("tiles.cuh", "barrier_of(1 + threadIdx.x / threads_of(T), threads_of(T))", "barrier_of(1 + threadIdx.x / threads_of(T), 32)"),
    "barrier before the store": ("conv_mma.cuh", "    team_barrier<T>();\n    if constexpr (E.turned", "    if constexpr (E.turned"),
    "barrier after the residual": ("conv_mma.cuh", "    team_barrier<T>();\n  }\n#pragma", "  }\n#pragma"),
    "number among all threads": ("tiles.cuh", "return threadIdx.x % threads_of(T);", "return threadIdx.x;"),
    "place of a tile": ("tiles.cuh", "down = static_cast<int>(number / width)", "down = static_cast<int>(number % width)"),
}  # Each line is a fault.  # fmt: skip


def _with(tile):
    """The tile for every layer that it can do."""

    def tuned(workload):
        p = getattr(workload, "problem", None)
        return Tuned(tile, "test") if isinstance(p, Conv) and fits_tiles(p) and buildable(p, tile, FEW) else None

    return tuned


def _tests(stem):
    """A file of other kernels."""
    spec = importlib.util.spec_from_file_location(f"cuda_turns_{stem}", Path(__file__).parents[1] / f"test_{stem}.py")
    sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _by_turns(net):
    return [call for call in net.lowered.calls if call.kernel.call.startswith("conv_turns<")]


@pytest.fixture(scope="module")
def layer():
    """Each takes its turn several times; classes of biases, a residual; no tile divides it."""
    return residual_layer(np.random.default_rng(4), 48, 136, 20, 99, 0.0008)


@pytest.fixture(scope="module")
def short():
    """Sums that are over before the ring of stages is, so that results meet those of the next tile."""
    case = (1, 60, 30, 29, 136, (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1, False, False)
    return _tests("conv").convolution(case, 9)


@pytest.mark.parametrize("tile", TILES)
def test_every_kind_of_tile_agrees_with_the_referee(tile, layer):
    module, inputs = layer
    made = nets([module], FEW, _with(TILES[tile]))
    assert len(_by_turns(made[0])) == 1
    assert differences(emulator(made), made[0], module, inputs, seeds=range(8)) == []


def test_short_sums_agree_with_the_referee(short):
    made = nets([short[0]], FEW, _with(TILES["rows"]))
    assert differences(emulator(made), made[0], *short, seeds=range(20)) == []


@pytest.mark.parametrize("multiprocessors", (1, 3, 132))
def test_any_number_of_blocks_agrees_with_the_referee(multiprocessors, layer):
    """One block that makes all tiles, some that make different numbers of them, one for every tile."""
    spec = replace(SM90A, extra=SM90A.extra | {"multiprocessors": multiprocessors})
    made = nets([layer[0]], spec, _with(TILES["rows"]))
    grid = _by_turns(made[0])[0].kernel.grid
    assert grid == (min(multiprocessors, 12), 1, 1)
    assert differences(emulator(made), made[0], *layer, seeds=range(4)) == []


def test_every_kind_of_layer_agrees_with_the_referee():
    convolutions, tables, attention = _tests("conv"), _tests("table_behind"), _tests("attention")
    cases = [convolutions.convolution(case, i) for i, case in enumerate(convolutions.CASES.values())]
    cases += [(function(emit, **inputs), inputs) for emit, inputs in tables.CASES.values()]
    cases += [attention.attention(*attention.CASES["one launch"])]
    tiles = [*itertools.islice(itertools.cycle(TILES.values()), len(cases) - 1), TILES["rows"]]
    made = nets([module for module, _ in cases], FEW, list(map(_with, tiles)))
    emulated = emulator(made)
    calls = "".join(call.kernel.call for net in made for call in _by_turns(net))
    assert calls.count("conv_turns<") >= 18 and "TableEpilogue" in calls and "TurnedEpilogue" in calls
    for net, (module, inputs) in zip(made, cases, strict=True):
        if _by_turns(net):
            assert differences(emulated, net, module, inputs, seeds=(0, 3, 5)) == []


@pytest.mark.parametrize("fault", planted_faults(FAULTS))
def test_fault_is_caught(fault, layer, short, tmp_path):
    made = nets([layer[0], short[0]], FEW, _with(TILES["rows"]))
    emulated = emulator(made, planted(tmp_path, *FAULTS[fault]))
    try:
        assert any(
            differences(emulated, net, *one, seeds=(seed,))
            for seed in range(8)
            for net, one in zip(made, (layer, short), strict=True)
        )
    except EmulationError:
        pass


def test_groups_and_products_of_a_batch_take_no_turns():
    """Their blocks would have to walk through groups, too."""
    tile, grouped = TILES["rows"], Conv(4096, *ROW, 256, 256, 4, 64, 64, 0)
    assert not buildable(grouped, tile, SM90A) and buildable(replace(grouped, groups=1), tile, SM90A)
    assert not buildable(replace(grouped, groups=1, batched=True), tile, SM90A)
    assert not buildable(replace(grouped, groups=1), replace(tile, splits=2), SM90A)


def test_machine_code_has_no_spills_and_its_own_copies(tmp_path):
    """Where sums leave no room, registers move from those that load to those that multiply."""
    try:
        compiler.find_compiler("90a")
    except Exception as error:
        pytest.skip(str(error))
    problem, epilogue = (
        Conv(4096, *ROW, 768, 3072, 1, 768, 3072, 0),
        Epilogue(False, 0, -128, 127, 0.0, 0.0, False, 0, 0.0),
    )
    offered = candidates(SM90A, TURNS)
    kernels = {tiled_kernel("dense", problem, epilogue, tile, SM90A): f"octet_{i}" for i, tile in enumerate(offered)}
    code, usage = compiler.compile_cubin(source(kernels), "90a")
    assert {(used.spills, used.stack) for used in usage.values()} == {(0, 0)} and len(usage) == len(offered)
    assert all(used.registers <= 168 for used in usage.values())
    (tmp_path / "k.cubin").write_bytes(code)
    if (listed := machine_code(tmp_path / "k.cubin")) is not None:
        for function in listed.split("Function : ")[1:]:
            tile = offered[int(re.match(r"octet_(\d+)", function)[1])]
            assert len(re.findall(r"IGMMA\.64x\d+x32\.S8\.S8", function)) == tile.depth // 32 * (tile.rows // 64)
            assert function.count("UBLKCP") == 1 and function.count("WARPGROUP.DEPBAR") == 2
            assert "TRYWAIT" in function and "FENCE.VIEW.ASYNC" in function
            assert function.count("USETMAXREG") == (2 if tile.rows * tile.columns > 128 * 128 else 0)
