"""The emulator catches what it is there for: planted faults in copies of the device files."""

import shutil

import numpy as np
import pytest
from cuda_harness import codes, constant, differences, emulator, function, nets

from octet.passes import ops
from octet.targets.cuda.emulator import EmulationError
from octet.targets.cuda.source import DEVICE

FAULTS = {
    "barrier of the main loop": ("conv_mma.cuh", "    copy_wait<T.stages - 2>();\n    barrier();\n", "    copy_wait<T.stages - 2>();\n"),
    "barrier in front of the epilogue": ("conv_mma.cuh", "  copy_wait<0>();\n  barrier();\n", "  copy_wait<0>();\n"),
    "barrier before the store": ("conv_mma.cuh", "    barrier();\n    move_tile<P, T, true>", "    move_tile<P, T, true>"),
    "barrier after the residual": ("conv_mma.cuh", "first, column);\n    barrier();\n  }\n#pragma", "first, column);\n  }\n#pragma"),
    "wait of a stage too few": ("conv_mma.cuh", "copy_wait<T.stages - 2>", "copy_wait<T.stages - 1>"),
    "index of ldmatrix": ("conv_mma.cuh", "2 * k + lane / 8 % 2", "2 * k + lane / 16"),
    "swizzle of one side": ("conv_mma.cuh", "load_weights<P, T>(memory + writing * stage_bytes + data_bytes, rows,", "load_weights<P, T>(memory + writing * stage_bytes + data_bytes + 16, rows,"),
    "pixel beyond the last": ("conv_mma.cuh", "if (pixel >= out_pixels(P))", "if (pixel > out_pixels(P) + 200)"),
    "store beyond the last": ("conv_mma.cuh", "if (first + row >= out_pixels(P) || column + channel >= limit) continue;", "if (column + channel >= limit) continue;"),
    "padding that is zero": ("conv_mma.cuh", "static_cast<unsigned>(P.zero_point & 0xff) * 0x01010101u", "0"),
}


@pytest.fixture(scope="module")
def layer():
    """Several warps, a residual, no tile divides it; the last stage lies where the result is staged."""
    rng = np.random.default_rng(8)
    inputs = {"x": codes(rng, 1, 64, 9, 9), "r": codes(rng, 1, 40, 9, 9)}
    vectors = [constant(codes(rng, 40, 64, 3, 3)), constant(np.zeros(40, np.int32)), constant(np.full(40, 0.002, np.float32))]
    attrs = dict(strides=[1, 1], padding=[1] * 4, dilation=[1, 1], groups=1, data_zero_point=9, out_dtype="int8", clip_min=-128, clip_max=127, out_zero_point=0,
                 residual_zero_point=0, residual_multiplier=0.5)  # fmt: skip
    module = function(lambda b, x, r: b.emit(ops.call("octet.conv2d", [x, *vectors, r], **attrs)), **inputs)
    return nets([module]), module, inputs


def caught(device, layer):
    made, module, inputs = layer
    try:
        return bool(differences(emulator(made, device), made[0], module, inputs, seeds=range(4)))
    except EmulationError:
        return True


def test_the_layer_is_right_without_a_fault(layer):
    assert not caught(DEVICE, layer)


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_caught(fault, layer, tmp_path):
    file, old, new = FAULTS[fault]
    device = tmp_path / "device"
    shutil.copytree(DEVICE, device)
    text = (device / file).read_text()
    assert text.count(old) == 1, f"{file} no longer has the line that this fault breaks"
    (device / file).write_text(text.replace(old, new))
    assert caught(device, layer)
