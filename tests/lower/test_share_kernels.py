"""Kernels that differ in their numbers alone are one."""

import numpy as np
import tvm
from tvm import relax, tirx
from tvm.tirx.script import builder as T

from octet.passes.lower.build import build_variant
from octet.passes.lower.cpu import backend
from octet.passes.lower.program import KernelCall, Program
from octet.passes.lower.share_kernels import share_kernels
from octet.passes.realize.fuse_float import FuseFloat
from octet.targets import detect
from octet.targets.opening import open_session
from octet.targets.variant import Step, TensorSpec
from octet.targets.x86.kernel import argument, emit_kernel

X = TensorSpec("x", (4, 40), "float32")


def kernel(name, extent=8, kind="vector", scale=0.5, term=3.0):
    """y[i] = max(x[i] * scale, term) * 2."""

    def body():
        x, y = argument("x", 8, "float32"), argument("y", extent, "float32")
        with T.serial(0, 8) as i:
            scaled = tirx.max(x[i] * tirx.const(scale, "float32"), tirx.const(term, "float32"))
            T.buffer_store(y, scaled * tirx.const(2.0, "float32"), [i])

    return emit_kernel(name, body).with_attr("octet.kernel", kind)


def shared(*kernels):
    """({name: arguments of its kernel}, [(kernel, numbers) of each call]) of kernels with these deviations."""
    functions = {f"k{i}": kernel(f"k{i}", **each) for i, each in enumerate(kernels)}
    calls = tuple(KernelCall(name, (), Step(name, "f", "vector", "float32", 0, 0, "")) for name in functions)
    module, (program,) = share_kernels(tvm.IRModule(functions), [Program(calls, 0, 0)])
    return (
        {var.name_hint: len(func.params) for var, func in module.functions_items()},
        [(call.function, call.numbers) for call in program.calls],
    )


def test_numbers_that_differ_become_arguments():
    kernels, calls = shared({}, {"scale": 0.25}, {"scale": 0.125, "term": 3.0})
    assert kernels == {"k0": 3}  # The term and the factor are those of all three.
    assert calls == [("k0", (("float32", scale),)) for scale in (0.5, 0.25, 0.125)]


def test_equal_kernels_take_no_numbers():
    assert shared({}, {}) == ({"k0": 2}, [("k0", ())] * 2)


def test_zeros_of_both_signs_are_two_numbers():
    kernels, calls = shared({"term": 0.0}, {"term": -0.0})
    assert kernels == {"k0": 3}
    assert [np.signbit(numbers[0][1]) for _, numbers in calls] == [False, True]


def test_kernels_of_another_form_stay():
    kernels, calls = shared({}, {"scale": 0.25, "extent": 9}, {"scale": 3.0}, {"scale": 0.25})
    assert kernels == {"k0": 3, "k1": 2, "k2": 2}  # Where the scale is the term, the kernel would be another one.
    assert [name for name, _ in calls] == ["k0", "k1", "k2", "k0"]


def test_kernels_of_tvm_stay():
    kernels, _ = shared({"kind": "fallback"}, {"kind": "fallback", "scale": 0.25})
    assert kernels == {"k0": 2, "k1": 2}


def test_a_network_computes_the_same_with_them(monkeypatch):
    builder, x = relax.BlockBuilder(), relax.Var("x", relax.TensorType(X.shape, X.dtype))
    scales = (0.1, 0.7, 1.3)
    with builder.function("main", [x]):
        with builder.dataflow():
            codes = [
                builder.emit(
                    relax.op.quantize(x, relax.const(np.float32(s)), relax.const(np.int8(3)), axis=-1, out_dtype="int8")
                )
                for i, s in enumerate(scales)
            ]
            result = builder.emit_output(relax.Tuple(codes))
        builder.emit_func_output(result)
    outputs = tuple(TensorSpec(f"y{i}", X.shape, "int8") for i in range(len(scales)))
    module = FuseFloat()(builder.get())
    values = np.random.default_rng(0).normal(0, 3, X.shape).astype(np.float32)
    sources = []
    for taken in (share_kernels, lambda mod, programs: (mod, programs)):
        monkeypatch.setattr(backend, "share_kernels", taken)
        variant = build_variant(module, detect.native(), (X,), outputs)
        sources.append(variant.source)
        found = open_session(variant).run({"x": values})
        for i, scale in enumerate(scales):
            codes = np.clip(np.rint(values / np.float32(scale)) + 3, -128, 127)
            np.testing.assert_array_equal(found[f"y{i}"], codes)
    assert sources[0].count("\ndefine") < sources[1].count("\ndefine")
