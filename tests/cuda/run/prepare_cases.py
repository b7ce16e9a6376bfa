"""The cases of the tests as modules of ten, with what the referee makes of each."""

import functools
import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from carried import Case, Expected, Step, write

from octet.passes.lower.cuda.lowering import lower
from octet.passes.lower.cuda.rules import RULES
from octet.passes.referee import reference
from octet.targets.cuda.compiling.source import named, source
from octet.targets.cuda.kernels.conv import default_schedule
from octet.targets.cuda.kernels.conv_schedule import TURNS, WGMMA, Tile, buildable, tile_for, units
from octet.targets.cuda.workload import CudaWorkload
from octet.targets.registry import find
from octet.targets.tuned import Tuned

_TESTS = Path(__file__).resolve().parents[1]
_FILES = ("operators", "floats", "axis", "generated", "tables", "rows", "table_behind")
_TILED = ("table_behind", "attention")
_TOGETHER = 10
_OLDER = {"cuda-sm80": 3, "cuda-sm75": 2}  # So many modules go as PTX of older targets.
_FEW = 2  # Multiprocessors, so that blocks that stay make several tiles.
_SMALL = ("pointwise", "depthwise")
_RACES = ("mma_conv2d", "softmax", "layer_norm", "dp4a_dense", "dp4a_tiled_conv2d", "wmma_conv2d", "turns_conv2d")


def everything() -> dict:
    """{name: (module, inputs)}."""
    harness, conv, attention = _file("harness", "cuda_harness"), _file("test_conv"), _file("test_attention")
    made = {name: conv.convolution(case, i) for i, (name, case) in enumerate(conv.CASES.items())}
    for file in _FILES:
        for name, (emit, inputs) in _file(f"test_{file}").CASES.items():
            made[f"{file}: {name}"] = (harness.function(emit, **inputs), inputs)
    return made | {f"attention: {name}": attention.attention(*case) for name, case in attention.CASES.items()}


def cases(folder, spec, compiler, found, small) -> None:
    """cases/*.zip, and which of them go through compute-sanitizer: one of every family of kernels."""
    made = {name: case for name, case in everything().items() if not small or name in _SMALL}
    (folder / "cases").mkdir(exist_ok=True)
    for path in (folder / "cases").glob("*.zip"):
        path.unlink()
    names = list(made)
    groups = {f"{i // _TOGETHER:02d}": names[i : i + _TOGETHER] for i in range(0, len(names), _TOGETHER)}
    wanted = {name: reference.run(*made[name]) for name in names}
    families = _written(folder, groups, made, wanted, spec, compiler.cubins)
    few = replace(spec, extra=spec.extra | {"multiprocessors": _FEW})
    for unit, name in ((WGMMA, "wgmma"), (TURNS, "turns")):  # The estimate has no use for either at the tests' sizes.
        if unit not in units(spec, False):
            continue
        tiled = {
            f"{name}-{group}": kept
            for group, names in groups.items()
            if (kept := [name for name in names if ": " not in name or name.startswith(_TILED)])
        }
        families |= _written(folder, tiled, made, wanted, few, compiler.cubins, functools.partial(_by_tiles, few, unit))
    for target, count in {} if small else _OLDER.items():
        older = {f"{target}-{group}": groups[group] for group in list(groups)[:: max(1, len(groups) // count)][:count]}
        _written(folder, older, made, wanted, find(target), compiler.ptx)
    first: dict = {}
    for item, used in families.items():
        for family in used:
            first.setdefault(family, item)
    found["memcheck"]["cases"] = sorted(set(first.values()))
    found["racecheck"]["cases"] = sorted({item for family, item in first.items() if family in _RACES})


def _by_tiles(spec, unit, workload):
    if isinstance(workload, CudaWorkload) and (
        workload.problem.batched or isinstance(default_schedule(workload.problem, spec), Tile)
    ):
        tile = tile_for(workload.problem, spec, unit)
        return Tuned(tile, "case") if buildable(workload.problem, tile, spec) else None


def _written(folder, groups, made, wanted, spec, compiled, tuned=None):
    """{item: families of its kernels}. tuned: as `lower` takes it."""
    lowered = {group: [lower(made[name][0], spec, RULES, tuned) for name in names] for group, names in groups.items()}
    named_of = {group: named(call.kernel for one in ones for call in one.calls) for group, ones in lowered.items()}
    texts = {group: source(names) for group, names in named_of.items()}
    codes = compiled(list(texts.values()), spec.extra["code"])
    families = {}
    for (group, names), code in zip(groups.items(), codes, strict=True):
        cases = [
            _case(name, one, named_of[group], made[name][1], wanted[name])
            for name, one in zip(names, lowered[group], strict=True)
        ]
        write(folder / "cases" / f"{group}.zip", cases, code)
        families |= {f"{group}: {case.name}": case.families for case in cases}
    return families


def _case(name, lowered, names, inputs, wanted):
    storages = list(dict.fromkeys(storage.root[0] for call in lowered.calls for storage in call.operands))
    numbers = {storage: i for i, storage in enumerate(storages)}
    places = [
        tuple((numbers[whole], start) for whole, start in (storage.root for storage in call.operands))
        for call in lowered.calls
    ]
    steps = tuple(
        Step(names[call.kernel], call.kernel.grid, call.kernel.block, call.kernel.shared, at)
        for call, at in zip(lowered.calls, places, strict=True)
    )
    content = {
        "buffer": lambda s: s.bytes,
        "state": lambda s: s.bytes,
        "constant": lambda s: s.array,
        "input": lambda s: list(inputs.values())[s.number],
    }
    contents = tuple(content[storage.kind](storage) for storage in storages)
    expected = []
    for storage, array in zip(lowered.outputs, wanted, strict=True):
        array = np.ascontiguousarray(array)
        expected.append(Expected(numbers[storage], array.nbytes, array))
    zeros = frozenset(numbers[storage] for storage in storages if storage.kind == "state")
    return Case(
        name, tuple(sorted({call.kernel.family for call in lowered.calls})), steps, contents, tuple(expected), zeros
    )


def _file(stem, name=None):
    """A neighbouring file as a module."""
    name = name or f"cuda_cases_{stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, _TESTS / f"{stem}.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]
