"""Runs integer graphs through the CUDA lowering and the emulator, against the referee."""

import importlib.util
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from tvm import relax

from octet.passes import ops
from octet.passes.lower.cuda.context import Lowered
from octet.passes.lower.cuda.lowering import lower
from octet.passes.lower.cuda.rules import RULES
from octet.passes.referee import reference
from octet.targets.cuda import emulator as emulator_module
from octet.targets.cuda.compiling.source import DEVICE, named, source
from octet.targets.cuda.emulator import Emulator
from octet.targets.registry import find

QUICK = emulator_module.FLAGS  # Kernels that run once or twice are worth no optimisation, so the compiler takes these.
SM80, SM75, SM61 = find("cuda-sm80"), find("cuda-sm75"), find("cuda-sm61")


def function(emit, **inputs):
    """A module whose `main` has the inputs (name: array) and returns what emit(builder, variables by name) returns."""
    builder = relax.BlockBuilder()
    params = [relax.Var(name, relax.TensorType(array.shape, str(array.dtype))) for name, array in inputs.items()]
    with builder.function("main", params):
        with builder.dataflow():
            results = emit(builder, *params)
            results = results if isinstance(results, list) else [results]
            output = builder.emit_output(relax.Tuple(results))
        builder.emit_func_output(output)
    return builder.get()


def residual_layer(rng, channels, outputs, side, most_bias, multiplier):
    """(a module with one 3 x 3 convolution of a square image and a residual of half weight, its inputs)."""
    inputs = {"x": codes(rng, 1, channels, side, side), "r": codes(rng, 1, outputs, side, side)}
    vectors = [
        constant(codes(rng, outputs, channels, 3, 3)),
        constant(rng.integers(-most_bias, most_bias, outputs).astype(np.int32)),
        constant(np.full(outputs, multiplier, np.float32)),
    ]
    attrs = dict(
        strides=[1, 1],
        padding=[1] * 4,
        dilation=[1, 1],
        groups=1,
        data_zero_point=9,
        out_dtype="int8",
        clip_min=-128,
        clip_max=127,
        out_zero_point=0,
        residual_zero_point=0,
        residual_multiplier=0.5,
    )
    return function(lambda b, x, r: b.emit(ops.call("octet.conv2d", [x, *vectors, r], **attrs)), **inputs), inputs


@dataclass(frozen=True, eq=False)
class Net:
    """A lowered module; `names` and `text` are those of all modules that were lowered with it."""

    lowered: Lowered
    names: dict
    text: str

    @property
    def steps(self):
        return [call.step for call in self.lowered.calls]

    def run(self, emulated, inputs, seed):
        """Every storage in a buffer of its own, with forbidden memory right behind it."""
        buffers = {}
        state = next((s for call in self.lowered.calls for s in call.operands if s.kind == "state"), None)
        for call in self.lowered.calls:
            for storage in (storage.root[0] for storage in call.operands):
                if storage not in buffers:
                    buffers[storage] = emulated.buffer(_content(storage, list(inputs.values())))
            kernel, places = call.kernel, [storage.root for storage in call.operands]
            emulated.launch(
                self.names[kernel],
                kernel.grid,
                kernel.block,
                kernel.shared,
                [buffers[whole].address + start for whole, start in places],
                seed,
            )
        assert state is None or not buffers[state].array.any(), "state must be zero again"
        return [buffers[storage].array.copy() for storage in self.lowered.outputs]


def batched_product(rng):
    """(a module that multiplies two computed tensors, its inputs)."""
    inputs = {"a": codes(rng, 2, 3, 21, 40), "b": codes(rng, 2, 3, 40, 19)}
    module = function(
        lambda b, x, y: b.emit(
            ops.call(
                "octet.matmul",
                [x, y],
                multiplier=0.004,
                out_dtype="int8",
                out_zero_point=0,
                clip_min=-128,
                clip_max=127,
            )
        ),
        **inputs,
    )
    return module, inputs


def _content(storage, inputs):
    if storage.kind == "buffer":
        return np.full(storage.bytes, 0x5A, np.uint8)
    if storage.kind == "state":
        return np.zeros(storage.bytes, np.uint8)
    return storage.array if storage.kind == "constant" else inputs[storage.number]


def nets(modules, spec=SM80, tuned=None):
    """One Net per module; all share one source, so that the emulator is compiled once. tuned: schedules other than the
    default, as `lower` takes them; a list has those of every module."""
    each = tuned if isinstance(tuned, list) else [tuned] * len(modules)
    lowered = [lower(module, spec, RULES, one) for module, one in zip(modules, each, strict=True)]
    names = named(call.kernel for one in lowered for call in one.calls)
    return [Net(one, names, source(names)) for one in lowered]


def emulator(made, device=DEVICE):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(emulator_module, "FLAGS", QUICK)
        return Emulator(made[0].text, {name: kernel.operands for kernel, name in made[0].names.items()}, device)


def emulated(cases):
    """Of {name: (emit, inputs)}: the emulator of all their kernels at once, which is one compilation, and {name: (net,
    module)}."""
    modules = {name: function(emit, **inputs) for name, (emit, inputs) in cases.items()}
    found = nets(list(modules.values()))
    return emulator(found), dict(zip(modules, zip(found, modules.values(), strict=True), strict=True))


def differences(emulated, net, module, inputs, seeds=(0, 1, 2, 3), tolerance=None):
    """[(seed, number of the output, how many elements differ)]; empty if every byte is the referee's in every order of
    threads. tolerance: relative and absolute, of results whose sums may be in any order."""
    wanted = reference.run(module, inputs)
    found = []
    for seed in seeds:
        for i, (got, want) in enumerate(zip(net.run(emulated, inputs, seed), wanted, strict=True)):
            want = np.ascontiguousarray(want).reshape(-1)
            got = got.view(want.dtype)[: want.size]
            if tolerance is not None:
                if not np.allclose(got, want, tolerance, tolerance):
                    found.append((seed, i, int((~np.isclose(got, want, tolerance, tolerance)).sum())))
            elif got.tobytes() != want.tobytes():
                found.append((seed, i, int((got != want).sum())))
    return found


def planted_faults(faults) -> list:
    """Of planted faults by name those of this run: every tenth, or all with OCTET_FAULTS=all, which `make soak` sets.
    Each costs a compilation by the host's compiler."""
    return list(faults)[:: 1 if os.environ.get("OCTET_FAULTS") == "all" else 10]


def planted(folder, file, old, new):
    """A copy of the device files with the fault."""
    device = folder / "device"
    shutil.copytree(DEVICE, device)
    text = (device / file).read_text()
    assert text.count(old) == 1, f"{file} no longer has the line that this fault breaks"
    (device / file).write_text(text.replace(old, new))
    return device


def codes(rng, *shape):
    return rng.integers(-128, 128, shape).astype(np.int8)


def constant(array):
    return relax.const(array)


def cuobjdump():
    """The path of the toolkit's, or of that of the pip package; None where there is neither."""
    spec = importlib.util.find_spec("nvidia")
    wheels = [
        str(Path(folder) / "cu13" / "bin" / "cuobjdump")
        for folder in (spec.submodule_search_locations if spec is not None else ())
    ]
    return next((path for place in ("cuobjdump", *wheels) if (path := shutil.which(place))), None)


def machine_code(path):
    """The machine code in a file, as text; None without a disassembler."""
    tool = cuobjdump()
    return tool and subprocess.run([tool, "--dump-sass", str(path)], capture_output=True, text=True, check=True).stdout
