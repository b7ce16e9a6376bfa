"""What the cost model must tell apart: products of two computed tensors from those with weights, and functions from
their tables."""

import numpy as np
import pytest
from tvm import relax

from octet.passes.policy.estimate import estimate, network_seconds
from octet.targets.x86 import cost


@pytest.mark.parametrize("dot", cost.RATES)
def test_a_float_product_of_two_computed_tensors_is_slower_than_one_with_weights(dot):
    seconds = lambda product, dtype="float32": cost.seconds(dot, dtype, 10**8, 10**5, product=product)
    assert seconds(True) > 2 * seconds(False)
    assert seconds(True, "int8") == seconds(False, "int8")


@pytest.mark.parametrize("dot", cost.RATES)
def test_a_function_in_float_is_slower_than_a_copy(dot):
    count = 10**6
    assert cost.seconds(dot, "float32", 0, 8 * count, functions=count) > 2 * cost.seconds(dot, "float32", 0, 8 * count)


def test_a_look_up_reads_the_rows_that_it_takes_whatever_the_size_of_the_table():
    def seconds(rows):
        builder, x = relax.BlockBuilder(), relax.Var("x", relax.TensorType((8,), "int64"))
        with builder.function("main", [x]):
            with builder.dataflow():
                result = builder.emit_output(relax.op.take(relax.const(np.zeros((rows, 64), np.float32)), x, axis=0))
            builder.emit_func_output(result)
        ((_, _, found),) = estimate(builder.get(), "vnni", cost.seconds)
        return found

    assert seconds(16) == seconds(4096)


def test_what_one_kernel_computes_is_counted_as_one():
    builder, x = relax.BlockBuilder(), relax.Var("x", relax.TensorType((64, 64), "float32"))
    scale, zero = relax.const(np.float32(1 / 255)), relax.const(np.int8(-128))
    with builder.function("main", [x]):
        with builder.dataflow():
            p = builder.emit(relax.op.nn.softmax(x))
            result = builder.emit_output(relax.op.quantize(p, scale, zero, out_dtype="int8"))
        builder.emit_func_output(result)
    module = builder.get()
    apart = estimate(module, "vnni", cost.seconds)
    assert [operator for _, operator, _ in apart] == ["relax.nn.softmax", "relax.quantize"]
    together, call = network_seconds(module, "vnni", cost.seconds), cost.KERNEL_SECONDS
    work = cost.seconds("vnni", "float32", 0, 0, functions=64 * 64)
    assert work <= together <= sum(seconds for _, _, seconds in apart) - call
