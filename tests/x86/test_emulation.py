"""The portable spelling of every instruction: what NumPy says, and where the CPU has the instruction, what the CPU
says."""

import ctypes
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from octet.targets import detect, registry
from octet.targets.bfloat16 import add_blocks, round_to_bfloat16
from octet.targets.x86.emulation.source import INSTRUCTIONS
from octet.targets.x86.tiles import tile_config

sys.path.insert(0, str(Path(__file__).parent))
from here import library_of
from instruction_models import MODELS

LEAST = registry.find("x86-64-v3")
ROUNDS = 200  # An instruction gets so many random vectors.
TYPES = {"i8": np.int8, "i16": np.int16, "i32": np.int32, "float": np.float32, "bfloat": np.uint16}
VECTOR = re.compile(r"<(\d+) x (\w+)>")


def signature(one):
    """(types of the vector operands, the constants behind them, type of the result) of an instruction on vectors."""
    result, arguments = re.search(r"define internal (<.*?>) @\S+?\((.*)\) noinline", one.definition).groups()
    kinds = [argument.rsplit(" ", 1)[0] for argument in re.split(r", (?![^<]*>)", arguments)]
    if "bf16" in one.name:
        kinds = [kind.replace("i16", "bfloat") for kind in kinds]
    return kinds, result


IMMEDIATES = {"x86.avx512.mask.reduce.ps.512": {1: 9, 4: 4}}


def wrapper(one):
    """LLVM IR of a function that reads the operands from memory, calls the instruction and writes its result. Masks
    are -1, the rounding is that of MXCSR (4)."""
    kinds, result = signature(one)
    lines, values = [], []
    for i, kind in enumerate(kinds):
        if kind.startswith("<"):
            lines.append(f"  %v{i} = load {kind}, ptr %p{i}, align 1")
            values.append(f"{kind} %v{i}")
        else:
            values.append(f"{kind} {-1 if kind == 'i16' else IMMEDIATES.get(one.name, {}).get(i, 4)}")
    pointers = ", ".join([f"ptr %p{i}" for i, kind in enumerate(kinds) if kind.startswith("<")] + ["ptr %out"])
    name = one.name.replace(".", "_")
    return "\n".join(
        [
            f"declare {result} @llvm.{one.name}({', '.join(kinds)})",
            f"define void @{name}({pointers}) #0 {{",
            *lines,
            f"  %r = call {result} @llvm.{one.name}({', '.join(values)})",
            f"  store {result} %r, ptr %out, align 1",
            "  ret void",
            "}",
            "",
        ]
    )


VECTORS = [one for one in INSTRUCTIONS.values() if not re.search(r"tile|tdp", one.name)]
TILES = """
declare void @llvm.x86.ldtilecfg(ptr)
declare void @llvm.x86.sttilecfg(ptr)
declare void @llvm.x86.tilerelease()
declare void @llvm.x86.tilezero(i8)
declare void @llvm.x86.tileloadd64(i8, ptr, i64)
declare void @llvm.x86.tilestored64(i8, ptr, i64)
declare void @llvm.x86.tdpbusd(i8, i8, i8)
declare void @llvm.x86.tdpbf16ps(i8, i8, i8)
define void @tiles_KIND(ptr %config, ptr %acc, i64 %acc.stride, ptr %data, i64 %data.stride, ptr %weights, ptr %out, ptr %seen, ptr %zero) #0 {
  call void @llvm.x86.ldtilecfg(ptr %config)
  call void @llvm.x86.tilezero(i8 1)
  call void @llvm.x86.tilestored64(i8 1, ptr %zero, i64 64)
  call void @llvm.x86.tileloadd64(i8 0, ptr %acc, i64 %acc.stride)
  call void @llvm.x86.tileloadd64(i8 4, ptr %data, i64 %data.stride)
  call void @llvm.x86.tileloadd64(i8 6, ptr %weights, i64 64)
  call void @llvm.x86.KIND(i8 0, i8 4, i8 6)
  call void @llvm.x86.KIND(i8 0, i8 4, i8 6)
  call void @llvm.x86.sttilecfg(ptr %seen)
  call void @llvm.x86.tilestored64(i8 0, ptr %out, i64 %acc.stride)
  call void @llvm.x86.tilerelease()
  ret void
}
"""
HEAD = 'target triple = "x86_64-unknown-linux-gnu"\n'
FOOT = '\nattributes #0 = { "target-cpu"="x86-64-v3" }\n'


def opened(text, host, folder, name):
    path = Path(folder) / name
    path.write_bytes(library_of(HEAD + text + FOOT, host))
    return ctypes.CDLL(str(path))


@pytest.fixture(scope="module")
def portable(tmp_path_factory):
    tiles = TILES.replace("KIND", "tdpbusd") + "\n".join(
        line for line in TILES.replace("KIND", "tdpbf16ps").splitlines() if not line.startswith("declare")
    )
    return opened("".join(map(wrapper, VECTORS)) + tiles, LEAST, tmp_path_factory.mktemp("portable"), "portable.so")


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The same functions with the instructions themselves, as far as this CPU has them; None without any."""
    best = max((spec for spec in detect.runnable() if spec.kind == "cpu"), key=lambda spec: spec.rank)
    host = replace(best, features=detect.cpu_features())
    text = "".join(wrapper(one) for one in VECTORS if one.runs_with(host.features))
    if INSTRUCTIONS["x86.tdpbusd"].runs_with(host.features):
        text += TILES.replace("KIND", "tdpbusd") + "\n".join(
            line for line in TILES.replace("KIND", "tdpbf16ps").splitlines() if not line.startswith("declare")
        )
    return opened(text, host, tmp_path_factory.mktemp("real"), "real.so") if text else None


def call(library, one, operands):
    _, result = signature(one)
    lanes, kind = VECTOR.match(result).groups()
    out = np.zeros(int(lanes), TYPES[kind])
    function = getattr(library, one.name.replace(".", "_"))
    function(*(array.ctypes.data_as(ctypes.c_void_p) for array in (*operands, out)))
    return out


def operands_of(one, rng):
    """Random bits; numbers near each other's exponents in every second round; the values at the ends of their types
    here and there."""
    made = []
    for kind in signature(one)[0]:
        if not kind.startswith("<"):
            continue
        lanes, element = VECTOR.match(kind).groups()
        dtype = np.dtype(TYPES[element])
        bits = rng.integers(0, 256, int(lanes) * dtype.itemsize, dtype=np.uint8).view(dtype)
        if element == "float" and rng.random() < 0.7:
            bits = (rng.standard_normal(int(lanes)) * 10.0 ** rng.integers(-3, 4)).astype(np.float32)
            bits[rng.integers(len(bits))] = rng.choice(
                [np.inf, -np.inf, np.nan, 0.0, -0.0, 2.0**31, -(2.0**31), 0.5, 1.5, 1e-40, -1.0], 1
            )[0]
        elif element == "bfloat" and rng.random() < 0.7:
            bits = (rng.standard_normal(int(lanes)).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
        elif element[0] == "i" and rng.random() < 0.3:
            info = np.iinfo(dtype)
            bits = rng.choice(np.array([info.min, info.max, 0, -1], dtype), int(lanes))
        made.append(np.ascontiguousarray(bits))
    return made


def same(got, wanted):
    """All bits; any NaN is as good as another."""
    return (
        np.array_equal(got, wanted)
        if got.dtype != np.float32
        else bool(np.all((got.view(np.int32) == wanted.view(np.int32)) | (np.isnan(got) & np.isnan(wanted))))
    )


@pytest.mark.parametrize("one", VECTORS, ids=lambda one: one.name)
def test_a_portable_spelling_means_what_the_manual_says(one, portable):
    if one.name not in MODELS:
        assert "bf16" in one.name  # Its sums are tested below, and in test_bfloat16.py.
        return
    rng = np.random.default_rng(len(one.name))
    for _ in range(ROUNDS):
        operands = operands_of(one, rng)
        assert same(call(portable, one, operands), MODELS[one.name](*operands)), operands


@pytest.mark.parametrize("one", VECTORS, ids=lambda one: one.name)
def test_a_portable_spelling_means_what_the_cpu_does(one, portable, real):
    if not one.runs_with(detect.cpu_features()):
        pytest.skip("this CPU lacks the instruction")
    rng = np.random.default_rng(7)
    for _ in range(5 * ROUNDS):
        operands = operands_of(one, rng)
        assert same(call(portable, one, operands), call(real, one, operands)), operands


def test_pairs_of_bfloat16_are_added_one_behind_the_other(portable):
    one, rng = INSTRUCTIONS["x86.avx512bf16.dpbf16ps.512"], np.random.default_rng(0)
    for _ in range(ROUNDS):
        acc = rng.standard_normal(16).astype(np.float32)
        a, b = (
            round_to_bfloat16((rng.standard_normal(32) * np.exp2(rng.integers(-8, 8, 32))).astype(np.float32))
            for _ in "ab"
        )
        wanted = acc
        for k in (1, 0):  # In float32 products of bfloat16 are exact.
            wanted = wanted + a[k::2].astype(np.float32) * b[k::2].astype(np.float32)
        assert same(call(portable, one, [acc, a.view(np.uint16), b.view(np.uint16)]), wanted)


def tiles(library, kind, rows, acc, data, weights):
    """acc + twice data x weights by tiles of `rows` rows; asserts that the other tile is zero and the configuration
    is what was loaded."""
    config, seen, zero, out = (
        tile_config(rows),
        np.zeros(64, np.uint8),
        np.full((rows, 64), 7, np.uint8),
        np.zeros_like(acc),
    )
    stride = ctypes.c_int64
    pointer = lambda array: array.ctypes.data_as(ctypes.c_void_p)
    getattr(library, f"tiles_{kind}")(
        pointer(config),
        pointer(acc),
        stride(acc.strides[0]),
        pointer(data),
        stride(data.strides[0]),
        pointer(weights),
        pointer(out),
        pointer(seen),
        pointer(zero),
    )
    assert np.array_equal(seen, config) and not zero.any()
    return out


def tile_operands(kind, rows, rng):
    """Rows of accumulators and of data that lie apart in memory."""
    if kind == "tdpbusd":
        return (
            rng.integers(-(2**30), 2**30, (rows, 16)).astype(np.int32),
            rng.integers(0, 256, (rows, 96), dtype=np.uint8)[:, :64],
            rng.integers(-128, 128, (16, 64)).astype(np.int8),
        )
    acc, data, weights = (
        rng.standard_normal(shape) * np.exp2(rng.integers(-8, 8, shape)) for shape in ((rows, 16), (rows, 48), (16, 32))
    )
    return acc.astype(np.float32), *(round_to_bfloat16(x.astype(np.float32)).view(np.uint16) for x in (data, weights))


@pytest.mark.parametrize("rows", [1, 7, 16])
def test_tiles_of_int8(rows, portable):
    acc, data, weights = tile_operands("tdpbusd", rows, np.random.default_rng(rows))
    matrix = weights.reshape(16, 16, 4).transpose(0, 2, 1).reshape(64, 16).astype(np.int64)
    assert np.array_equal(
        tiles(portable, "tdpbusd", rows, acc, data, weights),
        (acc + 2 * (data.astype(np.int64) @ matrix)).astype(np.int32),
    )


@pytest.mark.parametrize("rows", [1, 7, 16])
def test_tiles_of_bfloat16(rows, portable):
    acc, data, weights = tile_operands("tdpbf16ps", rows, np.random.default_rng(rows))
    wide = lambda bits: (bits.astype(np.uint32) << 16).view(np.float32)
    matrix = wide(weights).reshape(16, 16, 2).transpose(0, 2, 1).reshape(32, 16)
    wanted = acc
    for _ in range(2):
        wanted = add_blocks(wanted, wide(data[:, :32]), matrix)
    assert same(tiles(portable, "tdpbf16ps", rows, acc, data, weights), wanted)


@pytest.mark.skipif(not INSTRUCTIONS["x86.tdpbusd"].runs_with(detect.cpu_features()), reason="this CPU has no tiles")
@pytest.mark.parametrize("kind", ["tdpbusd", "tdpbf16ps"])
def test_tiles_are_those_of_the_cpu(kind, portable, real):
    rng = np.random.default_rng(0)
    for rows in (*range(1, 17), *[16] * 50):
        acc, data, weights = tile_operands(kind, rows, rng)
        if kind == "tdpbf16ps" and rng.random() < 0.5:  # Denormal numbers, infinities and NaN are among them.
            data, weights = (rng.integers(0, 2**16, x.shape).astype(np.uint16) for x in (data, weights))
        assert same(*(tiles(library, kind, rows, acc, data, weights) for library in (portable, real)))
