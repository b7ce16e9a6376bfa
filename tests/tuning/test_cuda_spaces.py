"""CUDA spaces: the default is a member, what a device cannot hold is refused, and every schedule computes what the
referee says (emulated)."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

import octet.passes  # noqa: F401 - prepares TVM
from octet.targets.cuda.emulator import Emulator
from octet.targets.cuda.kernels.conv import Conv, Epilogue
from octet.targets.cuda.kernels.conv_schedule import Tile, buildable
from octet.targets.cuda.kernels.window import ROW
from octet.targets.cuda.workload import workload_of
from octet.targets.errors import TargetError
from octet.targets.registry import find
from octet.targets.workloads import workload_from
from octet.tuning import cuda_builder
from octet.tuning.portable_case import portable_case
from octet.tuning.schedule_search import FEATURES, CostModel, ScheduleSearch, vector
from octet.tuning.spaces.registry import from_json, spaces_of, to_json

SM80, SM75, SM90A = find("cuda-sm80"), find("cuda-sm75"), find("cuda-sm90a")
INT8, RESIDUAL = (
    Epilogue(False, 2, -90, 127, 0.0, 0.0, residual, 0, 0.3 if residual else 0.0) for residual in (False, True)
)
FLOAT = Epilogue(True, 0, 0, 0, -np.inf, np.inf, False, 0, 0.0)


def stride(channels):
    return 4 if channels <= 4 else -(-channels // 16) * 16


def convolution(images, channels, size, outputs, kernel, step=1, groups=1):
    out = (size + 2 * (kernel // 2) - kernel) // step + 1
    window = (images, size, size, out, out, kernel, kernel, step, step, kernel // 2, kernel // 2, 1, 1)
    return Conv(*window, stride(channels), stride(outputs), groups, channels // groups, outputs // groups, 9)


def product(batch, rows, depth, columns, to_float):
    return Conv(rows, *ROW, stride(depth), columns if to_float else stride(columns), batch, depth, columns, 0, True)


WORKLOADS = {
    "dense with residual": workload_of(convolution(1, 40, 7, 52, 3), RESIDUAL),
    "first layer": workload_of(convolution(1, 3, 12, 20, 5, 2), INT8),
    "long sum": workload_of(convolution(2, 200, 3, 17, 3), INT8),
    "depthwise": workload_of(convolution(1, 24, 9, 24, 3, 2, 24), INT8),
    "odd groups": workload_of(convolution(1, 24, 5, 24, 3, 1, 4), INT8),
    "linear": workload_of(convolution(2, 70, 1, 33, 1), FLOAT),
    "product": workload_of(product(3, 21, 40, 19, False), INT8),
    "product to float": workload_of(product(2, 10, 32, 18, True), FLOAT),
}


@pytest.mark.parametrize("name", WORKLOADS)
@pytest.mark.parametrize("spec", [SM75, SM80, SM90A], ids=lambda spec: spec.name)
def test_the_default_is_a_member_and_schedules_survive_json(name, spec):
    workload = WORKLOADS[name]
    assert workload_from(json.loads(workload.text)) == workload and len(workload.key) == 32
    for space in spaces_of(workload, spec):
        assert space.schedule(asdict(space.default)) == space.default
        assert list(space.decisions) == list(asdict(space.default))
        for schedule in (space.default, *space.guesses):
            assert from_json(to_json(space.family, schedule)) == (space.family, schedule)
            row = vector(space, asdict(schedule))
            assert row.shape == (1, FEATURES) and np.isfinite(row).all()


def test_what_differs_in_numbers_only_shares_a_workload():
    p = convolution(1, 40, 7, 52, 3)
    other = replace(RESIDUAL, zero_point=-9, residual_zero_point=4, residual_multiplier=0.9, low=-80)
    assert workload_of(p, RESIDUAL) == workload_of(replace(p, zero_point=-5), other)
    assert len({workload_of(p, e).key for e in (RESIDUAL, INT8, FLOAT, replace(INT8, low=-128))}) == 4


def test_what_a_device_cannot_hold_is_refused():
    p = WORKLOADS["dense with residual"].problem
    fits = Tile(64, 64, 64, 2, 2, 3)
    assert buildable(p, fits, SM80)
    wrong = {
        "shared memory": replace(fits, rows=256, columns=256, depth=128, warp_rows=4, warp_columns=4),
        "registers": replace(fits, rows=256, columns=128, warp_rows=2, warp_columns=1),
        "threads": replace(fits, rows=256, columns=256, warp_rows=8, warp_columns=8),
        "whole matrices per warp": replace(fits, rows=16),
        "whole stages per split": replace(fits, splits=8),
    }
    assert [why for why, tile in wrong.items() if buildable(p, tile, SM80)] == []
    assert max(tile.stages for tile in (s for s in spaces_of(WORKLOADS["dense with residual"], SM75)[0].every())) <= 3


def test_tiles_in_turns_are_offered_and_are_no_default(monkeypatch):
    monkeypatch.setattr(cuda_builder, "compile_cubin", lambda text, arch: (text.encode(), {}))

    def by_wgmma(workload):
        return next(space for space in spaces_of(workload, SM90A) if space.family == "wgmma")

    large = by_wgmma(workload_of(Conv(4096, *ROW, 768, 2304, 1, 768, 2304, 0), INT8))
    assert not large.default.in_turns and any(schedule.in_turns for schedule in large.guesses)
    assert not any(schedule.in_turns for schedule in by_wgmma(WORKLOADS["product"]).every())
    workload = WORKLOADS["dense with residual"]
    case, offered = portable_case(workload), [one for one in by_wgmma(workload).every() if one.in_turns]
    built = cuda_builder.build(workload, offered[len(offered) // 2], case, SM90A)
    emulator = Emulator(built.code.decode(), {built.function: built.kernel.operands})
    assert _agrees(emulator, case, built)


def test_the_search_proposes_what_can_be_built():
    workload = WORKLOADS["dense with residual"]
    space = spaces_of(workload, SM80)[0]
    search = ScheduleSearch(space, CostModel(), "cuda", SM80.tvm_target())
    for _ in range(2):
        chosen = search.propose(8)
        assert len(chosen) > 4 and len(set(chosen)) == len(chosen)
        assert all(buildable(workload.problem, tile, SM80) and space.schedule(asdict(tile)) == tile for tile in chosen)
        search.report(chosen, [1e-6 * (tile.stages + tile.splits) for tile in chosen])


@pytest.mark.parametrize("spec", [SM75, SM80], ids=lambda spec: spec.name)
def test_sampled_schedules_agree_with_the_referee(spec, monkeypatch):
    monkeypatch.setattr(cuda_builder, "compile_cubin", lambda text, arch: (text.encode(), {}))
    rng, made = np.random.default_rng(spec.rank), []
    for name, workload in WORKLOADS.items():
        case = portable_case(workload)
        for space in spaces_of(workload, spec):
            every = [s for s in space.every() if s != space.default]
            picked = [every[i] for i in rng.choice(len(every), min(len(every), 1), replace=False)]
            made += [
                (name, case, cuda_builder.build(workload, schedule, case, spec))
                for schedule in (space.default, *picked)
            ]
    texts = {built.function: built.code.decode() for _, _, built in made}
    emulator = Emulator("\n".join(texts.values()), {built.function: built.kernel.operands for _, _, built in made})
    assert [(name, built.schedule) for name, case, built in made if not _agrees(emulator, case, built)] == []


def _agrees(emulator, case, built):
    """In two orders of threads; the second run finds the state as the first one left it."""
    held = {
        "zero": lambda size: np.zeros(size, np.uint8),
        "constant": built.constants.__getitem__,
        "input": lambda i: case.made[i].array(),
        "output": lambda _: np.full(case.output.size, 0x5A, np.uint8),
    }
    buffers = [emulator.buffer(held[kind](number)) for kind, number in built.operands]
    for seed in (0, 3):
        buffers[-1].array[...] = 0x5A
        emulator.launch(
            built.function,
            built.kernel.grid,
            built.kernel.block,
            built.kernel.shared,
            [buffer.address for buffer in buffers],
            seed,
        )
        if not case.output.agrees(buffers[-1].array):
            return False
    return True


def test_spills_are_no_candidates(monkeypatch):
    workload = WORKLOADS["linear"]
    usage = type("Usage", (), {"spills": 12})
    monkeypatch.setattr(
        cuda_builder,
        "compile_cubin",
        lambda text, arch: (b"", {text.split("void __launch_bounds__")[1].split(") ")[1].split("(")[0]: usage}),
    )
    with pytest.raises(TargetError, match="12 bytes spilled"):
        cuda_builder.build(workload, None, portable_case(workload), SM80)
    assert cuda_builder.CudaBuilder(SM80, 1).build([(workload, None)]) == [
        "did not compile: its registers do not suffice: 12 bytes spilled"
    ]
