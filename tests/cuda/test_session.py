"""A package with a CUDA and a CPU variant on a machine with a driver: an emulated one, which runs the real kernels."""

import ast
import json

import numpy as np
import pytest

from octet.passes.lower.build import build_variant
from octet.passes.referee import reference
from octet.targets import archive, detect
from octet.targets.cuda.compiling.source import emulated_source
from octet.targets.cuda.emulator import write_library
from octet.targets.cuda.running.needs import needs_of
from octet.targets.errors import PackageError
from octet.targets.package import Package, load, read_package
from octet.targets.registry import find
from octet.targets.variant import TensorSpec

INPUTS, OUTPUTS = (TensorSpec("x", (2, 3, 12, 11), "float32"),), (TensorSpec("y", (2, 9), "float32"),)
RUN = """
import numpy as np, octet, sys
from octet.targets import detect
from octet.targets.cuda.running import loaded
loaded.LEAST_LAUNCHES = 2  # an emulated one takes milliseconds
session = octet.load(sys.argv[1] if len(sys.argv) > 1 else {path!r}, target={target!r})
feed = dict(np.load({data!r}))
y = feed.pop("y")
first, second = session.run(feed), session.run(feed)
assert first["y"].tobytes() == second["y"].tobytes() == y.tobytes(), "wrong result"
steps = session.profile(feed, repeat=2)
assert len(steps) == len(session.steps) and all(seconds >= 0 for _, seconds in steps)
print(session.target, [s.name for s in detect.runnable() if s.kind == "cuda"], detect.native().kind, [m for m in ("tvm", "tvm_ffi") if m in sys.modules])
"""


@pytest.fixture(scope="module")
def machine(network, nvcc, here, tmp_path_factory):
    """(path of the package, path of the driver, path of inputs and the expected output)."""
    folder = tmp_path_factory.mktemp("cuda")
    made = [build_variant(network, spec, INPUTS, OUTPUTS, "net") for spec in (find("cuda-sm80"), detect.native())]
    Package(tuple(made), {}).save(folder / "net.octet")
    text = emulated_source(made[0].source, {launch.function: len(launch.operands) for launch in made[0].launches})
    write_library(text + (here / "fake_driver.cpp").read_text(), folder / "libcuda.so")
    x = np.random.default_rng(1).standard_normal((2, 3, 12, 11)).astype(np.float32)
    np.savez(folder / "data.npz", x=x, y=reference.run(network, {"x": x})[0])
    return folder / "net.octet", folder / "libcuda.so", folder / "data.npz"


PROFILE = """
import numpy as np, octet
from octet.targets.cuda.running import loaded
loaded.LEAST_LAUNCHES = 1
from octet.tools.benchmarking.benchmark import device_entry, machine_peak
from octet.tools.benchmarking.profile import profile_of
session = octet.load({path!r})
peak = machine_peak(session)
kernels = profile_of(session, {{"x": np.load({data!r})["x"]}}, peak)
print(device_entry(session), peak.int8_gops / peak.float32_gflops, {{k["bound"] for k in kernels}} <= {{"compute", "memory"}}, [(k["part"], k["dtype"], k["macs"], k["bytes"], k["layer"] != "", k["source"]) for k in kernels])
"""


def code(machine, target=None):
    return RUN.format(path=str(machine[0]), data=str(machine[2]), target=target)


def test_a_device_takes_the_gpu_variant(machine, python):
    said = python(code(machine), OCTET_LIBCUDA=str(machine[1]))
    assert said == "cuda-sm80 ['cuda-sm80', 'cuda-sm75', 'cuda-sm61'] cpu []"


def test_a_newer_device_takes_it_too(machine, python):
    assert python(code(machine), OCTET_LIBCUDA=str(machine[1]), FAKE_CUDA_ARCH="120").startswith("cuda-sm80")


def test_a_driver_that_is_too_old_is_named_before_anything_is_loaded(machine, python):
    """An old driver would refuse the module with "unsupported toolchain"."""
    text = (
        f"import octet\ntry:\n  octet.load({str(machine[0])!r}, target='cuda-sm80')\nexcept octet.OctetError as "
        "error:\n  print(error)"
    )
    version = needs_of(read_package(machine[0]).variants[0].library)
    old = str(version.code - 1000)
    said = python(text, OCTET_LIBCUDA=str(machine[1]), FAKE_CUDA_DRIVER=old)
    assert said == (
        f"target cuda-sm80: its machine code needs a driver of CUDA {version.code // 1000}.0 or newer, this one is of "
        f"CUDA {version.code // 1000 - 1}.0; "
        "update it, or compile with an older CUDA toolkit"
    )
    assert "its PTX, which sm_120 would run, needs" in python(
        text, OCTET_LIBCUDA=str(machine[1]), FAKE_CUDA_DRIVER=old, FAKE_CUDA_ARCH="120"
    )
    assert f'"driver":{{"arch":80,"code":{version.code},"ptx":{version.ptx}}}' in json.dumps(
        json.loads(archive.read(machine[0]).text), separators=(",", ":")
    )
    session = python(
        code(machine).replace("print(", "print('warned',"), OCTET_LIBCUDA=str(machine[1]), FAKE_CUDA_DRIVER=old
    )
    assert session.startswith(f"warned {detect.native().name}"), "the CPU takes over"


def test_what_cannot_be_loaded_or_captured_gives_everything_back(machine, python):
    """FAKE_CUDA_REFUSE: the call that the driver refuses; it says at its end what is still held."""
    text = (
        f"import octet\nfor _ in range(2):\n  try:\n    octet.load({str(machine[0])!r}, target='cuda-sm80').close()\n "
        " except octet.OctetError as error:\n    pass"
    )
    for refused in ("", "cuStreamCreate", "cuMemAllocHost_v2", "cuGraphInstantiateWithFlags", "cuLaunchKernel"):
        assert (
            python(text, OCTET_LIBCUDA=str(machine[1]), FAKE_CUDA_REFUSE=refused, FAKE_CUDA_HELD="1")
            == "held: 0, capturing: 0"
        ), refused


def test_an_older_device_or_no_driver_takes_the_cpu(machine, python):
    native = detect.native().name
    assert python(code(machine), OCTET_LIBCUDA=str(machine[1]), FAKE_CUDA_ARCH="75").startswith(
        f"{native} ['cuda-sm75', 'cuda-sm61']"
    )
    assert python(code(machine), OCTET_LIBCUDA="/nowhere/libcuda.so").startswith(f"{native} []")
    assert python(code(machine, native), OCTET_LIBCUDA=str(machine[1])).startswith(native)


def test_the_session_says_why(machine, python):
    said = "import octet, sys; session = octet.load(sys.argv[1]); print(session.why)".replace(
        "sys.argv[1]", repr(str(machine[0]))
    )
    assert python(said, OCTET_LIBCUDA=str(machine[1])) == "the best variant of the package"
    assert (
        python(said, OCTET_LIBCUDA=str(machine[1]), FAKE_CUDA_ARCH="75")
        == "cuda-sm80 does not run here: the device is emulated device, sm_75"
    )
    assert python(said, OCTET_LIBCUDA="/nowhere/libcuda.so") == "cuda-sm80 does not run here: there is no CUDA driver"


def test_a_driver_that_refuses_leaves_the_cpu_with_a_warning(machine, python, tmp_path):
    import dataclasses

    package = read_package(machine[0])
    broken = dataclasses.replace(package.variants[0], library=b"no code at all")
    Package((broken, package.variants[1]), {}).save(tmp_path / "broken.octet")
    warned = "import warnings; warnings.simplefilter('error')\n" + code((tmp_path / "broken.octet", *machine[1:]))
    said = python(
        "import warnings; warnings.simplefilter('ignore')\n" + code((tmp_path / "broken.octet", *machine[1:])),
        OCTET_LIBCUDA=str(machine[1]),
    )
    assert said.startswith(detect.native().name)
    with pytest.raises(AssertionError, match="cuda-sm80 is left out: CUDA: cuModuleLoadData failed"):
        python(warned, OCTET_LIBCUDA=str(machine[1]))


def test_package_keeps_the_variant(machine):
    variant = read_package(machine[0]).variants[0]
    assert variant.kind == "cuda" and len(variant.launches) == len(variant.steps) and "conv_mma<" in variant.source


def test_the_variant_by_name_without_a_device(machine, monkeypatch):
    if not detect.missing(find("cuda-sm80").features):
        pytest.skip("this machine has such a device")
    with pytest.raises(PackageError, match="cuda-sm80 needs cuda_sm80"):
        load(machine[0], target="cuda-sm80")


def test_a_profile_is_measured_against_the_device(machine, python):
    path, driver, data = machine
    said = python(PROFILE.format(path=str(path), data=str(data)), OCTET_LIBCUDA=str(driver))
    assert said.startswith("{'device': 'emulated device'} 32.0 True"), (
        "sm_80: 2048 int8 multiply-adds a clock, 64 in float32"
    )
    kernels = ast.literal_eval(said[said.index("[") :])
    assert [k[0] for k in kernels] == ["conversion"] + 4 * ["kernel"] and all(k[1] == "int8" and k[4] for k in kernels)
    assert [k[5] for k in kernels] == ["", "default", "default", "", "default"]
    assert [k[2] for k in kernels] == [0, 2 * 36 * 20 * 27, 2 * 36 * 20 * 180, 0, 2 * 9 * 20]
    assert kernels[0][3] == 2 * 132 * 3 * 4 + 2 * 132 * 4, "float32 in, four bytes a pixel out"
    assert kernels[-1][3] == 2 * 32 + 9 * 32 + 2 * 9 * 4 + 2 * 9 * 4, (
        "rows of whole granules, bias, multiplier and result: nothing twice"
    )


def test_threads_may_share_a_session(machine, python):
    text = f"""
import numpy as np, octet
from concurrent.futures import ThreadPoolExecutor
session = octet.load({str(machine[0])!r})
feed = dict(np.load({str(machine[2])!r})); y = feed.pop("y")
with ThreadPoolExecutor(4) as pool:
    assert all(r["y"].tobytes() == y.tobytes() for r in pool.map(lambda _: session.run(feed), range(12)))
session.close(); print("done", session.target)
"""
    assert python(text, OCTET_LIBCUDA=str(machine[1])) == "done cuda-sm80"
