"""The small network and the emulated driver that the tests of the runtime share."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tvm import relax

import octet.passes  # noqa: F401 - registers the operators
from octet.passes import ops
from octet.targets.cuda import emulator as emulator_module
from octet.targets.cuda.compiling import compiler
from octet.targets.cuda.compiling.source import DEVICE
from octet.targets.errors import TargetError

_spec = importlib.util.spec_from_file_location("cuda_harness", Path(__file__).with_name("harness.py"))
sys.modules["cuda_harness"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(sys.modules["cuda_harness"])

try:
    compiler.find_compiler(80)
    NVCC = ""
except TargetError as error:
    NVCC = str(error)


@pytest.fixture(scope="session", autouse=True)
def parsed_once(tmp_path_factory):
    """The emulator's own headers, which no planted fault breaks, as g++ keeps them after parsing: up to half of every
    compilation. Kernels that the harness runs once or twice are optimised less, which is a third of the rest."""
    if "CXX" in os.environ or not shutil.which("g++"):
        yield  # Another compiler keeps them in another way.
        return
    flags = emulator_module.FLAGS
    with pytest.MonkeyPatch.context() as patch:
        for owner, name, chosen in (
            (emulator_module, "FLAGS", flags),
            (sys.modules["cuda_harness"], "QUICK", tuple("-Og" if flag == "-O1" else flag for flag in flags)),
        ):
            header = shutil.copytree(DEVICE, tmp_path_factory.mktemp("parsed") / "device") / "launch.cuh"
            subprocess.run(["g++", *chosen, "-x", "c++-header", header, "-o", f"{header}.gch"], check=True)
            patch.setattr(owner, name, (*chosen, "-include", str(header)))
        yield


@pytest.fixture(scope="session")
def nvcc():
    if NVCC:
        pytest.skip(NVCC)


def integer_network():
    """quantize, a strided convolution with a residual, pooling, a linear layer to float32: main(x float32 [2, 3, 12,
    11])."""
    rng = np.random.default_rng(5)
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType([2, 3, 12, 11], "float32"))

    def weights(*shape):
        return relax.const(rng.integers(-127, 128, shape).astype(np.int8))

    def conv(data, o, i, k, stride, pad, zero, residual=None):
        more = [] if residual is None else [residual]
        extra = {} if residual is None else {"residual_zero_point": -3, "residual_multiplier": 0.41}
        vectors = [
            relax.const(rng.integers(-2000, 2000, o).astype(np.int32)),
            relax.const((rng.random(o) * 0.004 + 0.001).astype(np.float32)),
        ]
        call = ops.call(
            "octet.conv2d",
            [data, weights(o, i, k, k), *vectors, *more],
            strides=[stride] * 2,
            padding=[pad] * 4,
            dilation=[1, 1],
            groups=1,
            data_zero_point=zero,
            out_zero_point=-3,
            clip_min=-120,
            clip_max=125,
            out_dtype="int8",
            **extra,
        )
        return builder.emit(call)

    with builder.function("main", [x]):
        with builder.dataflow():
            q = builder.emit(
                relax.op.quantize(x, relax.const(np.float32(0.03)), relax.const(np.int8(7)), axis=-1, out_dtype="int8")
            )
            a = conv(q, 20, 3, 3, 2, 1, 7)
            b = conv(a, 20, 20, 3, 1, 1, -3, a)
            pooled = builder.emit(
                ops.call(
                    "octet.avg_pool2d",
                    [b],
                    pool_size=[6, 6],
                    strides=[1, 1],
                    padding=[0] * 4,
                    count_include_pad=False,
                    data_zero_point=-3,
                    out_zero_point=1,
                    multiplier=1.25,
                    clip_min=-128,
                    clip_max=127,
                )
            )
            flat = builder.emit(relax.op.reshape(pooled, (2, 20)))
            vectors = [
                relax.const(rng.integers(-500, 500, 9).astype(np.int32)),
                relax.const(np.full(9, 0.001, np.float32)),
            ]
            dense = ops.call(
                "octet.dense",
                [flat, weights(9, 20), *vectors],
                data_zero_point=1,
                clip_min=float("-inf"),
                clip_max=float("inf"),
                out_dtype="float32",
            )
            result = builder.emit_output(relax.Tuple([builder.emit(dense)]))
        builder.emit_func_output(result)
    return builder.get()


@pytest.fixture(scope="session")
def network():
    return integer_network()


@pytest.fixture(scope="session")
def python():
    return _python


def _python(code, **environment):
    """stdout of a fresh interpreter: the driver is looked for once per process."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="session")
def here():
    return Path(__file__).resolve().parent
