"""What the emulator proves, on a real device: every kernel byte for byte, the whole network, and that a graph may be launched again and again.

`make test-gpu` runs this file; without a device (or nvcc) it is skipped with the reason."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from cuda_harness import function

from octet.passes.lower.cuda.build import place
from octet.passes.lower.cuda.lowering import lower
from octet.passes.lower.cuda.rules import RULES
from octet.passes.realize import reference
from octet.targets import detect
from octet.targets.cuda import driver
from octet.targets.cuda.compiler import compile_fatbin
from octet.targets.cuda.session import CudaSession
from octet.targets.cuda.source import named, source
from octet.targets.cuda.specs import SPECS
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
    for file in ("operators", "floats", "axis", "generated", "tables"):
        for name, (emit, inputs) in _cases(f"test_{file}").CASES.items():
            made[f"{file}: {name}"] = (function(emit, **inputs), inputs)
    return made


def specs():
    """The targets that run on this machine's device."""
    return [spec for spec in SPECS if not detect.missing(spec.features)]


def built(modules, spec, compiled=compile_fatbin):
    """One variant per module; all share one fatbin."""
    lowered = [lower(module, spec, RULES) for module in modules]
    names = named(call.kernel for one in lowered for call in one.calls)
    text = source(names)
    library, _ = compiled(text, spec.extra["arch"])
    found = []
    for module, one in zip(modules, lowered, strict=True):
        launches, weights, arena = place(one, names)
        main = module["main"]
        inputs = tuple(_spec(param.name, param.ty) for param in main.params)
        outputs = tuple(_spec(f"result{i}", ty) for i, ty in enumerate(main.ret_ty.fields))
        steps = tuple(call.step for call in one.calls)
        found.append(Variant(spec.name, library, weights, arena, steps, inputs, outputs, spec.features, spec.rank, "test", kind="cuda", launches=launches, source=text))
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
        pytest.skip(f"{gpu.name} is sm_{gpu.arch}")
    cases = everything()
    wrong = []
    for variant, (name, (module, inputs)) in zip(built([module for module, _ in cases.values()], spec), cases.items(), strict=True):
        session = CudaSession(variant)
        got, wanted = list(session.run(inputs).values()), reference.run(module, inputs)
        wrong += [name for g, w in zip(got, wanted, strict=True) if g.tobytes() != np.ascontiguousarray(w).tobytes()]
        session.close()
    assert wrong == []


def test_a_network_gives_the_same_bytes_every_time(gpu, network):
    for variant in (built([network], spec)[0] for spec in specs()):
        session = CudaSession(variant)
        for seed in range(20):
            x = np.random.default_rng(seed).standard_normal((2, 3, 12, 11)).astype(np.float32)
            assert session.run({"x": x})["result0"].tobytes() == reference.run(network, {"x": x})[0].tobytes()
        assert session.device_seconds({"x": x}) > 0
        session.close()
