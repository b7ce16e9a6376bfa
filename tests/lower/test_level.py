"""Kernels are lowered for the level that they are asked for, whoever asks: packages, calibration, the search of
schedules."""

import pytest
from tvm import relax

from octet.passes.lower.cpu.lowering import lower
from octet.passes.lower.cpu.rules import RULES
from octet.targets import registry

CPUS = [spec for spec in registry.TARGETS.values() if spec.kind == "cpu" and spec.machine == "x86_64"]


def softmax():
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType([3, 40], "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            result = builder.emit_output(relax.Tuple([builder.emit(relax.op.nn.softmax(x, -1))]))
        builder.emit_func_output(result)
    return builder.get()


@pytest.mark.parametrize("spec", CPUS, ids=lambda spec: spec.name)
def test_no_instruction_of_a_greater_level(spec):
    """An instruction of 512 bits, which the compiler cannot split for AVX2, ended the process."""
    lowered, without = lower(softmax(), spec, RULES)
    assert not without and ("avx512" in lowered.script()) == (spec.vector_bits == 512)
