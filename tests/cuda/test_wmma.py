"""Tensor cores by WMMA: the referee's bytes with fragments of every shape, faults, and the instruction in the machine
code."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cuda_harness import (
    SM75,
    SM80,
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
from octet.targets.cuda.kernels.conv_schedule import Tile, tile_for
from octet.targets.cuda.kernels.window import ROW
from octet.targets.registry import find
from octet.targets.tuned import Tuned

HEIGHTS = (8, 16, 32)
FAULTS = {
    "row of a fragment": (
        "tiles.cuh",
        "data + tile_offset<T>(row + height * i, 2 * k + half)",
        "data + tile_offset<T>(row + 16 * i, 2 * k + half)",
    ),
    "half of the sum": (
        "tiles.cuh",
        "weights + tile_offset<T>(column + width * j, 2 * k + half)",
        "weights + tile_offset<T>(column + width * j, 2 * k)",
    ),
    "an order that is guessed": (
        "tiles.cuh",
        "place(i, j, e) = own[row * settle_pitch + column];",
        "place(i, j, e) = part[e];",
    ),
    "a fragment read too early": (
        "tiles.cuh",
        "        warp_barrier();\n#pragma unroll\n        for (int e = 0; e < 8; ++e) {",
        "#pragma unroll\n        for (int e = 0; e < 8; ++e) {",
    ),
    "sums that still settle": (
        "conv_mma.cuh",
        "    result.settle(memory);\n    barrier();\n",
        "    result.settle(memory);\n",
    ),
}


def _with(height, splits=1):
    """Every tile by WMMA; shared sums where there are no groups."""

    def tuned(workload):
        if isinstance(tile := tile_for(workload.problem, SM75, height), Tile):
            return Tuned(replace(tile, splits=splits) if workload.problem.groups == 1 else tile, "test")

    return tuned


@pytest.fixture(scope="module")
def tests():
    """The neighbouring file of convolutions."""
    spec = importlib.util.spec_from_file_location("cuda_wmma_conv", Path(__file__).with_name("test_conv.py"))
    sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def layer():
    """Several blocks and warps, a residual, and a second one whose sums several blocks share."""
    module, inputs = residual_layer(np.random.default_rng(4), 136, 72, 7, 99, 0.0008)
    return module, inputs


@pytest.mark.parametrize(
    ("spec", "height"), [(SM80, 8), (SM75, 16), (SM80, 32)], ids=lambda value: getattr(value, "name", value)
)
def test_convolutions_agree_with_the_referee(spec, height, tests, layer):
    names = ("first layer", "few outputs", "uneven", "groups of 16", "to float")
    cases = [tests.convolution(tests.CASES[name], i) for i, name in enumerate(names)]
    for splits, some in ((1, cases), (3, [layer])):
        made = nets([module for module, _ in some], spec, _with(height, splits))
        emulated = emulator(made)
        assert {step.kernel for net in made for step in net.steps if step.macs} == {"wmma_conv2d"}
        for net, (module, inputs) in zip(made, some, strict=True):
            assert differences(emulated, net, module, inputs, seeds=(0, 3)) == []


@pytest.mark.parametrize("height", HEIGHTS)
def test_products_agree_with_the_referee(height):
    module, inputs = batched_product(np.random.default_rng(height))
    made = nets([module], SM80, _with(height))
    assert "wmma_matmul" in {step.kernel for step in made[0].steps}
    assert differences(emulator(made), made[0], module, inputs, seeds=(1, 2)) == []


@pytest.mark.parametrize("fault", planted_faults(FAULTS))
def test_fault_is_caught(fault, layer, tmp_path):
    made, (module, inputs) = nets([layer[0]], SM80, _with(8)), layer
    emulated = emulator(made, planted(tmp_path, *FAULTS[fault]))
    try:
        assert any(differences(emulated, made[0], module, inputs, seeds=(seed,)) for seed in range(4))
    except EmulationError:
        pass


@pytest.mark.parametrize("arch", (75, 90))
def test_machine_code_has_tensor_instructions_and_no_spills(arch, tmp_path):
    try:
        compiler.find_compiler(arch)
    except Exception as error:
        pytest.skip(str(error))
    spec = find(f"cuda-sm{arch}")
    problem, epilogue = (
        Conv(4096, *ROW, 1024, 1024, 1, 1024, 1024, 0),
        Epilogue(False, 0, -128, 127, 0.0, 0.0, False, 0, 0.0),
    )
    kernels = {
        tiled_kernel("dense", problem, epilogue, Tile(128, 128, 64, 2, 2, 2, 1, height), spec): f"octet_{height}"
        for height in HEIGHTS
    }
    assert all(kernel.shared <= spec.extra["shared_bytes"] for kernel in kernels)
    code, usage = compiler.compile_cubin(source(kernels), arch)
    assert {(used.spills, used.stack) for used in usage.values()} == {(0, 0)} and len(usage) == 3
    text = compiler.find_compiler(arch).ptx(source(kernels), arch, compiler.FLAGS, compiler.DEVICE)[0].decode()
    for shape in ("m8n32k16", "m16n16k16", "m32n8k16"):
        assert (
            f"wmma.mma.sync.aligned.row.col.{shape}.s32.s8.s8.s32" in text
            and f"wmma.store.d.sync.aligned.row.{shape}.shared.s32" in text
        )
    (tmp_path / "k.cubin").write_bytes(code)
    if (listed := machine_code(tmp_path / "k.cubin")) is not None:
        assert ("IMMA.8816" if arch == 75 else "IMMA.16816") in listed
