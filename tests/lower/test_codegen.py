"""What the passes in front of LLVM make of a kernel."""

import tvm
from tvm import tirx

from octet.passes.lower import codegen
from octet.targets.cpu.expressions import bind, load_vector, pure, store_vector
from octet.targets.x86.kernel import argument, emit_kernel


def sums_of_sums(depth):
    """A kernel of `depth` named vectors, each of which reads the one before twice: as a tree it has 2 ** depth
    leaves."""

    def body():
        data = argument("data", 8, "int32")
        value = bind(load_vector(data, 0, 8))
        for _ in range(depth):
            value = bind(pure("int32x8", "llvm.x86.avx2.phadd.d", value, value))
        store_vector(data, 0, value)

    return tvm.IRModule({"sums": emit_kernel("sums", body)})


def test_names_of_vectors_stay_names():
    mod = tirx.transform.BindTarget(tvm.target.Target("llvm"))(sums_of_sums(12))
    for make in codegen._TEMPLATES:
        mod = make()(mod)
    assert str(mod).count("phadd") == 12
