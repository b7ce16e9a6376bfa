"""nvcc makes code for every architecture: the intended instructions are there, nothing spills, limits are kept."""

import shutil
import subprocess

import numpy as np
import pytest
from cuda_harness import SM80

from octet.passes.lower.cuda.build import build_cuda_variant
from octet.targets import detect
from octet.targets.cuda import compiler
from octet.targets.cuda.specs import SPECS
from octet.targets.errors import TargetError
from octet.targets.registry import find
from octet.targets.variant import TensorSpec

INPUTS, OUTPUTS = (TensorSpec("x", (2, 3, 12, 11), "float32"),), (TensorSpec("y", (2, 9), "float32"),)


@pytest.fixture(scope="module", params=[spec for spec in SPECS if spec.extra["arch"] in (75, 80, 90)], ids=lambda spec: spec.name)
def built(request, network, nvcc):
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
    tool = shutil.which("cuobjdump")
    if tool is None:
        pytest.skip("cuobjdump is not installed")
    spec, variant = built
    path = tmp_path / "kernels.fatbin"
    path.write_bytes(variant.library)
    code = subprocess.run([tool, "--dump-sass", str(path)], capture_output=True, text=True, check=True).stdout
    tensor, copies = ("IMMA.8816", None) if spec.dot == "mma8816" else ("IMMA.16832", "LDGSTS.E.BYPASS.128")
    for name in (tensor, copies, "LDSM.16.M88.4", "IDP.4A"):
        assert name is None or name in code, name


def test_ptx_has_the_intended_instructions(network, nvcc, tmp_path):
    variant = build_cuda_variant(network, SM80, INPUTS, OUTPUTS)
    path = tmp_path / "kernels.cu"
    path.write_text(variant.source)
    out = tmp_path / "kernels.ptx"
    subprocess.run([compiler.find_nvcc(), *compiler.FLAGS, "-arch=compute_80", "-ptx", f"-I{compiler.DEVICE}", str(path), "-o", str(out)], check=True, capture_output=True)
    text = out.read_text()
    wanted = ("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32", "ldmatrix.sync.aligned.m8n8.x4", "cp.async.cg.shared.global", "cp.async.ca.shared.global",
              "dp4a.s32.s32", "mul.rn.f32", "add.rn.f32", "cvt.rni.s32.f32", "st.global.v4")  # fmt: skip
    assert [name for name in wanted if name not in text] == []
    assert "fma." not in text and ".approx" not in text  # the contract rounds every product and sum, and divides exactly


def test_every_architecture_compiles(nvcc):
    text = 'extern "C" __global__ void empty(void* y) {}'
    assert all(compiler.compile_fatbin(text, spec.extra["arch"])[1]["empty"].spills == 0 for spec in SPECS)


def test_missing_nvcc_is_one_line_with_the_remedy(monkeypatch, tmp_path):
    for name in ("NVCC", "CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(compiler.shutil, "which", lambda name: None)
    with pytest.raises(TargetError, match="need nvcc, which was not found; install the CUDA toolkit"):
        compiler.find_nvcc()
    with pytest.raises(TargetError, match="need nvcc"):
        detect.resolve("cuda-sm80")  # before the first long phase
    monkeypatch.setenv("NVCC", "/nowhere/nvcc")
    with pytest.raises(TargetError, match="NVCC is /nowhere/nvcc, which is no program"):
        compiler.find_nvcc()


def test_an_operator_without_a_kernel_is_named(nvcc):
    from cuda_harness import function
    from tvm import relax

    module = function(lambda b, x: b.emit(relax.op.cumprod(x, 1)), x=np.zeros((2, 3), np.float32))
    with pytest.raises(TargetError, match=r"target cuda-sm75: relax.cumprod .*float32\[2, 3\].* has no CUDA kernel: TVM has no TIR for it"):
        build_cuda_variant(module, find("cuda-sm75"), INPUTS, OUTPUTS)
