"""What a machine has, as /proc/cpuinfo, the kernel and its limits say it, and which targets that is enough for."""

import pytest

from octet.targets import detect, registry
from octet.targets.errors import TargetError

CPUINFO = """processor\t: 0
physical id\t: 0
core id\t\t: 0
model name\t: Some CPU
flags\t\t: fpu avx avx2 fma f16c bmi1 bmi2 abm movbe avx512f avx512bw avx512cd avx512vl avx512dq avx512_vnni

processor\t: 1
physical id\t: 0
core id\t\t: 0
flags\t\t: fpu
"""


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Pretends to be a machine with the given /proc/cpuinfo, whatever this one is taken for."""
    monkeypatch.delenv("OCTET_CPU", raising=False)

    def pretend(text):
        path = tmp_path / "cpuinfo"
        path.write_text(text)
        monkeypatch.setattr(detect, "_CPUINFO", path)
        for cached in (detect.cpu_features, detect.cpu_name, detect.cores):
            cached.cache_clear()

    yield pretend
    monkeypatch.undo()
    for cached in (detect.cpu_features, detect.cpu_name, detect.cores):
        cached.cache_clear()


def test_flags(machine):
    machine(CPUINFO)
    assert "avx512_vnni" in detect.cpu_features() and detect.cpu_name() == "Some CPU"
    assert detect.native().name == "avx512vnni"
    assert [spec.name for spec in detect.runnable()] == ["avx512vnni", "x86-64-v4", "x86-64-v3"]
    assert {"amx_int8", "amx_tile", "avx512vbmi"} <= set(detect.missing(registry.TARGETS["amx"].features))


def test_amx_needs_the_kernels_permission(machine, monkeypatch):
    machine(CPUINFO.replace("avx512_vnni", " ".join(registry.TARGETS["amx"].features)))
    monkeypatch.setattr(detect, "request_amx", lambda: False)
    assert detect.native().name == "avx512vnni"
    detect.cpu_features.cache_clear()
    monkeypatch.setattr(detect, "request_amx", lambda: True)
    assert detect.native().name == "amx"


def test_no_target_runs(machine):
    machine(CPUINFO.replace("avx2", "sse2"))
    with pytest.raises(TargetError, match="lacks avx2"):
        detect.native()


def test_cores(machine, monkeypatch):
    machine(CPUINFO)
    monkeypatch.setattr(detect.os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(detect, "_quota", lambda: 8)
    assert detect.cores() == 1  # One core has two hyper-threads.


def test_quota(monkeypatch, tmp_path):
    path = tmp_path / "cpu.max"
    monkeypatch.setattr(detect, "_CPU_QUOTA", path)
    for text, cores in (("150000 100000\n", 2), ("50000 100000\n", 1), ("max 100000\n", detect.os.cpu_count())):
        path.write_text(text)
        assert detect._quota() == cores


@pytest.mark.parametrize("name", ["x86-64-v2", "cuda-sm70", "cuda-sm999", "pentium"])
def test_names_without_kernels(name):
    with pytest.raises(TargetError, match="take one of: native, amx, avx512bf16, avx512vnni"):
        registry.find(name)


def test_resolve():
    assert detect.resolve("avx512vnni") is registry.TARGETS["avx512vnni"]


AVX2 = "avx avx2 fma f16c bmi1 bmi2 abm movbe"
AVX512 = f"{AVX2} avx512f avx512bw avx512cd avx512dq avx512vl"


@pytest.mark.parametrize(
    "flags, names",
    [
        ("sse2 ssse3 avx", []),
        (AVX2, ["x86-64-v3"]),
        (AVX2.replace(" fma", ""), []),  # Half a level is none.
        (f"{AVX2} avx_vnni", ["avxvnni", "x86-64-v3"]),
        (AVX512, ["x86-64-v4", "x86-64-v3"]),
        (AVX512.replace(" avx512dq", ""), ["x86-64-v3"]),  # Knights Landing and the like have no more.
        (f"{AVX512} avx512_vnni", ["avx512vnni", "x86-64-v4", "x86-64-v3"]),
        (f"{AVX512} avx512_vnni avx512_bf16", ["avx512bf16", "avx512vnni", "x86-64-v4", "x86-64-v3"]),
        (
            f"{AVX512} avx512_vnni amx_tile amx_int8",
            ["avx512vnni", "x86-64-v4", "x86-64-v3"],
        ),  # It has tiles, but not what else the code for them uses.
    ],
)
def test_a_cpu_gets_the_levels_whose_every_feature_it_has(machine, monkeypatch, flags, names):
    machine(f"processor: 0\nflags: {flags}\n")
    monkeypatch.setattr(detect, "request_amx", lambda: True)
    assert [spec.name for spec in detect.runnable()] == names
    if names:
        assert detect.native().name == next(
            name for name in names if name != "avx512bf16"
        )  # Whoever wants bfloat16 says so.


@pytest.mark.parametrize(
    "level, names",
    [
        ("x86-64-v3", ["x86-64-v3"]),
        ("x86-64-v4", ["x86-64-v4", "x86-64-v3"]),
        ("avx512vnni", ["avx512vnni", "x86-64-v4", "x86-64-v3"]),
        ("", ["avx512vnni", "x86-64-v4", "x86-64-v3"]),
    ],
)
def test_a_machine_is_taken_for_a_lesser_one(machine, monkeypatch, level, names):
    monkeypatch.setenv("OCTET_CPU", level)
    machine(CPUINFO)
    assert [spec.name for spec in detect.runnable()] == names and detect.native().name == names[0]
    assert detect.missing(registry.TARGETS["amx"].features)


@pytest.mark.parametrize(
    "level, said",
    [
        ("pentium", "unknown; take a level of this CPU: avx512vnni, x86-64-v4, x86-64-v3"),
        ("native", "unknown"),
        ("cuda-sm80", "unknown"),
        ("amx", "this CPU lacks amx_int8.*take one of: avx512vnni"),
        ("avxvnni", "this CPU lacks avx_vnni"),
    ],
)
def test_a_machine_is_not_taken_for_a_greater_one(machine, monkeypatch, level, said):
    monkeypatch.setenv("OCTET_CPU", level)
    machine(CPUINFO)
    with pytest.raises(TargetError, match=f"OCTET_CPU={level}: {said}"):
        detect.native()
