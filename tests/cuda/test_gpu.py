"""What the emulator proves, on a real device: every kernel byte for byte, the whole network, and that a graph may be
launched again and again.

`make test-gpu` runs this file; without a device (or nvcc) it is skipped with the reason."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cuda_harness import function

from octet.passes.lower.cuda.backend import place
from octet.passes.lower.cuda.lowering import lower
from octet.passes.lower.cuda.rules import RULES
from octet.passes.referee import reference
from octet.targets import detect
from octet.targets.cuda.compiling.compiler import compile_fatbin, find_compiler
from octet.targets.cuda.compiling.source import named, source
from octet.targets.cuda.running import driver
from octet.targets.cuda.running.session import CudaSession
from octet.targets.cuda.specs import SPECS
from octet.targets.errors import TargetError
from octet.targets.variant import TensorSpec, Variant


def _cases(file):
    """The CASES of a neighbouring test file."""
    spec = importlib.util.spec_from_file_location(f"cuda_cases_{file}", Path(__file__).with_name(f"{file}.py"))
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def everything():
    """{name: (module, inputs)}."""
    conv = _cases("test_conv")
    made = {name: conv.convolution(case, i) for i, (name, case) in enumerate(conv.CASES.items())}
    for file in ("operators", "floats", "axis", "generated", "tables", "rows", "table_behind"):
        for name, (emit, inputs) in _cases(f"test_{file}").CASES.items():
            made[f"{file}: {name}"] = (function(emit, **inputs), inputs)
    attention = _cases("test_attention")
    return made | {f"attention: {name}": attention.attention(*case) for name, case in attention.CASES.items()}


def specs():
    """The targets that run on this machine's device and that it can compile for."""
    return [spec for spec in SPECS if not detect.missing(spec.features) and not _lacks(spec)]


def _lacks(spec):
    """Why there is no compiler for a target, or nothing: NVRTC of CUDA 12, which sm_61 needs, is an extra."""
    try:
        find_compiler(spec.extra["code"])
    except TargetError as error:
        return str(error)
    return ""


def merged(variants):
    """All variants as one, whose module is loaded (and translated from PTX for a newer device) once: names of inputs
    and outputs are numbered."""
    weights, arena, launches, sides = [], 0, [], ([], [])
    for number, variant in enumerate(variants):
        moved = {
            "weights": sum(part.size for part in weights),
            "arena": arena,
            "input": len(sides[0]),
            "output": len(sides[1]),
        }
        launches += [
            replace(launch, operands=tuple((kind, at + moved[kind]) for kind, at in launch.operands))
            for launch in variant.launches
        ]
        weights.append(np.pad(variant.weights, (0, -variant.weights.size % 256)))
        arena += -(-variant.arena_bytes // 256) * 256
        for side, specs_of in zip(sides, (variant.inputs, variant.outputs)):
            side += [replace(spec, name=f"{number}:{spec.name}") for spec in specs_of]
    steps = tuple(step for variant in variants for step in variant.steps)
    return replace(
        variants[0],
        weights=np.concatenate(weights),
        arena_bytes=arena,
        launches=tuple(launches),
        steps=steps,
        inputs=tuple(sides[0]),
        outputs=tuple(sides[1]),
    )


def built(modules, spec, compiled=compile_fatbin):
    """One variant per module; all share one fatbin."""
    lowered = [lower(module, spec, RULES) for module in modules]
    names = named(call.kernel for one in lowered for call in one.calls)
    text = source(names)
    library, _ = compiled(text, spec.extra["code"])
    found = []
    for module, one in zip(modules, lowered, strict=True):
        launches, weights, arena = place(one, names)
        main = module["main"]
        inputs = tuple(_spec(param.name, param.ty) for param in main.params)
        outputs = tuple(_spec(f"result{i}", ty) for i, ty in enumerate(main.ret_ty.fields))
        steps = tuple(call.step for call in one.calls)
        found.append(
            Variant(
                spec.name,
                library,
                weights,
                arena,
                steps,
                inputs,
                outputs,
                spec.features,
                spec.rank,
                "test",
                kind="cuda",
                launches=launches,
                source=text,
            )
        )
    return found


def _spec(name, ty):
    return TensorSpec(name, tuple(int(extent) for extent in ty.shape.values), str(ty.dtype))


@pytest.fixture(scope="module")
def gpu(nvcc):
    found = driver.device()
    if found is None:
        pytest.skip("this machine has no CUDA device, or no driver")
    if not specs():
        pytest.skip(f"{found.name} is sm_{found.arch}; the oldest target is sm_61")
    return found


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_every_kernel(gpu, spec):
    if spec not in specs():
        pytest.skip(_lacks(spec) or f"{gpu.name} is sm_{gpu.arch}")
    cases = everything()
    session = CudaSession(merged(built([module for module, _ in cases.values()], spec)))
    feed = {
        f"{number}:{name}": array for number, (_, inputs) in enumerate(cases.values()) for name, array in inputs.items()
    }
    for _ in range(2):  # The second run finds what the first one left.
        got, wrong = session.run(feed), []
        for number, (name, (module, inputs)) in enumerate(cases.items()):
            for i, wanted in enumerate(reference.run(module, inputs)):
                found = got[f"{number}:result{i}"]
                wanted = np.ascontiguousarray(wanted)
                if found.tobytes() != wanted.tobytes():
                    wrong.append(f"{name}: {int((found != wanted).sum())} of {wanted.size}")
        assert wrong == []
    session.close()


def test_a_network_gives_the_same_bytes_every_time(gpu, network):
    for variant in (built([network], spec)[0] for spec in specs()):
        session = CudaSession(variant)
        for seed in range(20):
            x = np.random.default_rng(seed).standard_normal((2, 3, 12, 11)).astype(np.float32)
            assert session.run({"x": x})["result0"].tobytes() == reference.run(network, {"x": x})[0].tobytes()
        assert session.device_seconds({"x": x}) > 0
        session.close()
