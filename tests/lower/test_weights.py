"""Constants of a program: equal ones lie in one place, and only equal ones do."""

import weakref

import numpy as np
import tvm
from tvm import relax

from octet.passes.lower import program
from octet.passes.lower.program import Weights, kernels_of


def test_equal_constants_lie_in_one_place():
    weights, large = Weights(), np.arange(3000, dtype=np.float32)
    assert weights.place(large) == weights.place(large.copy()) != weights.place(-large)
    assert Weights(share=False).place(large).offset == 0
    apart = Weights(share=False)
    assert apart.place(large) != apart.place(large)


def test_constants_do_not_lie_in_memory_twice():
    """Of large weights a copy is gigabytes."""
    weights, array = Weights(), np.ones(5000, np.float32)
    alive = weakref.ref(array)
    weights.place(array)
    del array
    assert alive() is not None
    blob = weights.blob()
    assert alive() is None and blob[:20000].view(np.float32).all()


def test_the_kernels_of_a_module_hold_no_constants():
    table = relax.const(np.ones(8, np.float32))
    builder = relax.BlockBuilder()
    with builder.function("main", []):
        builder.emit_func_output(builder.emit(relax.op.add(table, table)))
    builder.add_func(tvm.tirx.PrimFunc([], tvm.tirx.Evaluate(0)), "kernel")
    assert [var.name_hint for var in kernels_of(builder.get()).get_global_vars()] == ["kernel"]


def test_constants_of_one_hash_are_compared(monkeypatch):
    """Whatever the checksum says: here it says that all are alike."""
    monkeypatch.setattr(program, "crc32", lambda value: 0)
    weights, arrays = Weights(), [np.full(size, value, np.int32) for size in (4, 5000) for value in (1, 2, 1)]
    places = [weights.place(array) for array in arrays]
    assert places[0] == places[2] != places[1] and places[3] == places[5] != places[4]
    blob = weights.blob()
    for array, place in zip(arrays, places):
        assert blob[place.offset : place.offset + array.nbytes].tobytes() == array.tobytes()
