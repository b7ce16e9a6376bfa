"""Machine code for every architecture: the intended instructions are there, nothing spills, limits are kept; and which
compiler is taken."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from cuda_harness import function, machine_code

from octet.passes.lower.cuda.backend import build_cuda_variant
from octet.targets import detect
from octet.targets.cuda.compiling import compiler
from octet.targets.cuda.compiling.fatbin import fatbin
from octet.targets.cuda.compiling.nvcc import Nvcc, find_nvcc
from octet.targets.cuda.compiling.nvrtc import find_nvrtc
from octet.targets.cuda.compiling.source import named, source
from octet.targets.cuda.kernels import float_layers
from octet.targets.cuda.specs import SPECS
from octet.targets.errors import TargetError
from octet.targets.registry import find
from octet.targets.variant import TensorSpec

INPUTS, OUTPUTS = (TensorSpec("x", (2, 3, 12, 11), "float32"),), (TensorSpec("y", (2, 9), "float32"),)
EMPTY = 'extern "C" __global__ void empty(void* y) {}'
COMMON = ("dp4a.s32.s32", "mul.rn.f32", "add.rn.f32", "st.global.v4")


def listing(path):
    """The machine code in a file."""
    text = machine_code(path)
    return text if text is not None else pytest.skip("cuobjdump is not installed: pip install 'octet[test]'")


@pytest.fixture(
    scope="module",
    params=[spec for spec in SPECS if spec.extra["arch"] in (61, 75, 80, 90)],
    ids=lambda spec: spec.name,
)
def built(request, network):
    try:
        compiler.find_compiler(request.param.extra["code"])
    except TargetError as error:
        pytest.skip(str(error))
    return request.param, build_cuda_variant(network, request.param, INPUTS, OUTPUTS)


def test_no_spills_and_within_limits(built):
    spec, variant = built
    usage = variant.extra["usage"]
    assert set(usage) == {launch.function for launch in variant.launches}
    for launch in variant.launches:
        used = usage[launch.function]
        assert (used.spills, used.stack) == (0, 0) and used.registers <= 255, (launch.function, used)
        assert used.registers * launch.block <= 65536 and launch.shared <= spec.extra["shared_bytes"]


def test_machine_code_has_the_intended_instructions(built, tmp_path):
    spec, variant = built
    if spec.extra["arch"] < 75:
        pytest.skip("the disassembler of CUDA 13 no longer reads sm_61; its PTX is checked")
    path = tmp_path / "kernels.fatbin"
    path.write_bytes(variant.library)
    code = listing(path)
    tensor, copies = ("IMMA.8816", None) if spec.dot == "mma8816" else ("IMMA.16832", "LDGSTS.E.BYPASS.128")
    for name in (tensor, copies, "LDSM.16.M88.4", "IDP.4A"):
        assert name is None or name in code, name
    assert "STL" not in code and "LDL" not in code  # Nothing is spilled to local memory.


def test_ptx_has_the_intended_instructions(built):
    spec, variant = built
    arch = spec.extra["code"]
    text = compiler.find_compiler(arch).ptx(variant.source, arch, compiler.FLAGS, compiler.DEVICE)[0].decode()
    ldmatrix, copies = "ldmatrix.sync.aligned.m8n8.x4", ("cp.async.cg.shared.global", "cp.async.ca.shared.global")
    sixteen = ("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32", ldmatrix, *copies)
    wanted = {
        "dp4a": (),
        "mma8816": ("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32", ldmatrix),
        "mma16832": sixteen,
        "wgmma": sixteen,
    }[spec.dot]
    assert [name for name in (*COMMON, *wanted) if name not in text] == []
    # The contract rounds every product and sum, and divides exactly; quotients by a scale are two products where those
    # are proved to give every byte, and only what says so fuses.
    entries = re.findall(r"\.entry (\w+)([\s\S]*?)(?=\.entry|\Z)", text)
    assert {name.split("_", 2)[2] for name, body in entries if "fma." in body} == {"quantize"} and ".approx" not in text
    assert spec.dot != "dp4a" or not any(name in text for name in ("mma.sync", "ldmatrix", "cp.async"))


def test_float_layers_are_on_tensor_cores(nvcc, tmp_path):
    kernels = [
        float_layers.matmul(1, 300, 200, 100, False, False, find("cuda-sm90"), tile) for tile in float_layers.TILES
    ]
    library, usage = compiler.compile_fatbin(source(named(kernels)), 90)
    assert len(usage) == len(float_layers.TILES) and all((used.spills, used.stack) == (0, 0) for used in usage.values())
    (tmp_path / "kernels.fatbin").write_bytes(library)
    code = listing(tmp_path / "kernels.fatbin")
    assert "HMMA.1688.F32.TF32" in code and "LDGSTS" in code and "FFMA" not in code


def test_every_architecture_compiles(nvcc):
    found = {
        spec.name: compiler.compile_fatbin(EMPTY, spec.extra["code"])[1]["empty"].spills
        for spec in SPECS
        if spec.extra["arch"] >= 75
    }
    assert set(found.values()) == {0}


def test_nvrtc_makes_what_nvcc_makes(network, monkeypatch):
    if find_nvrtc(80) is None:
        pytest.skip("NVRTC is not installed: pip install 'octet[cuda]'")
    monkeypatch.setattr(compiler, "find_nvcc", lambda: None)
    variant = build_cuda_variant(network, find("cuda-sm80"), INPUTS, OUTPUTS)
    assert set(variant.extra["usage"]) == {launch.function for launch in variant.launches}
    assert all((used.spills, used.stack) == (0, 0) for used in variant.extra["usage"].values())


def test_the_container_is_the_toolkits(tmp_path):
    tool, nvcc = shutil.which("fatbinary"), find_nvcc()
    tool = tool or (shutil.which(str(Path(nvcc.path).resolve().parent / "fatbinary")) if nvcc is not None else None)
    if tool is None:
        pytest.skip("the CUDA toolkit is not installed")
    cubin, ptx = (make(EMPTY, 80, compiler.FLAGS, compiler.DEVICE)[0] for make in (nvcc.cubin, nvcc.ptx))
    for name, content in (("k.cubin", cubin), ("k.ptx", ptx)):
        (tmp_path / name).write_bytes(content)
    images = [
        f"--image3=kind={kind},sm=80,file={tmp_path / name}" for kind, name in (("elf", "k.cubin"), ("ptx", "k.ptx"))
    ]
    subprocess.run([tool, "-64", "--compress=false", f"--create={tmp_path / 'k.fatbin'}", *images], check=True)
    theirs, ours = (tmp_path / "k.fatbin").read_bytes(), fatbin(cubin, ptx, 80)
    code = 16 + 64 + len(cubin) + -len(cubin) % 8
    # In front of it stands the size in all, which counts PTX with its comments.
    assert ours[16:code] == theirs[16:code]
    assert (
        ours[code : code + 8] == theirs[code : code + 8]
        and ours[code + 32 : code + 80] == theirs[code + 32 : code + 80]
    )


def test_a_missing_compiler_is_one_line_with_the_remedy(monkeypatch):
    monkeypatch.setattr(compiler, "find_nvcc", lambda: None)
    monkeypatch.setattr(compiler, "find_nvrtc", lambda arch: None)
    with pytest.raises(
        TargetError, match=r"cuda-sm80 needs a CUDA compiler: found neither nvcc nor NVRTC; pip install 'octet\[cuda\]'"
    ):
        detect.resolve("cuda-sm80")  # It is asked before the first long phase.
    monkeypatch.setattr(compiler, "find_nvcc", lambda: Nvcc("/opt/nvcc", frozenset({75, 80})))
    with pytest.raises(
        TargetError, match=r"cuda-sm61 .* /opt/nvcc makes no code for it.*; pip install 'octet\[pascal\]'"
    ):
        detect.resolve("cuda-sm61")
    assert compiler.find_compiler(75).path == "/opt/nvcc"


def test_nvcc_that_is_no_program(monkeypatch):
    monkeypatch.setenv("NVCC", "/nowhere/nvcc")
    with pytest.raises(TargetError, match="NVCC is /nowhere/nvcc, which is no program"):
        find_nvcc()


def test_what_does_not_compile_is_one_line(nvcc):
    with pytest.raises(TargetError, match=r"failed for sm_80: .*error.*; it "):
        compiler.compile_fatbin("void f() { nothing(); }", 80)


def test_an_operator_without_a_kernel_is_named(nvcc):
    from tvm import relax

    module = function(lambda b, x: b.emit(relax.op.cumprod(x, 1)), x=np.zeros((2, 3), np.float32))
    with pytest.raises(
        TargetError,
        match=r"target cuda-sm75: relax.cumprod .*float32\[2, 3\].* has no CUDA kernel: TVM has no TIR for it",
    ):
        build_cuda_variant(module, find("cuda-sm75"), INPUTS, OUTPUTS)
