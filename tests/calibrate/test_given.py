"""The passes that make a hub of a network that comes quantised."""

import numpy as np
from tvm import relax
from tvm.ir import assert_structural_equal
from tvm.script import ir as I, relax as R

from octet.passes.calibrate.given import CompleteWeights, RemoveQuantizers

GRID = np.array([[1.0, -127.0], [0.5, 3.0]], "float32")


@I.ir_module
class Pairs:
    @R.function
    def main(x: R.Tensor((2, 2), "float32")):
        with R.dataflow():
            q = R.quantize(x, R.const(0.5, "float32"), R.const(-28, "int8"), axis=-1, out_dtype="int8")
            y = R.dequantize(q, R.const(0.5, "float32"), R.const(-28, "int8"), axis=-1)
            gv = (y,)
            R.output(gv)
        return gv


@I.ir_module
class Clipped:
    @R.function
    def main(x: R.Tensor((2, 2), "float32")):
        with R.dataflow():
            y = R.clip(x, -50.0, 77.5)
            gv = (y,)
            R.output(gv)
        return gv


def test_quantizers_become_the_ranges_that_they_cut():
    assert_structural_equal(RemoveQuantizers()(Pairs), Clipped)


def test_without_quantizers_nothing_is_removed():
    assert_structural_equal(RemoveQuantizers()(Clipped), Clipped)


def layer(weight, moved=False, quantised=True):
    """x [-> quantize -> dequantize] [-> permute_dims] -> matmul(weight)"""
    x, builder = relax.Var("x", relax.TensorType([2, 2], "float32")), relax.BlockBuilder()
    with builder.function("main", [x]):
        with builder.dataflow():
            y, scale, zero = x, relax.const(np.float32(0.5)), relax.const(np.int8(3))
            if quantised:
                y = builder.emit(
                    relax.op.dequantize(builder.emit(relax.op.quantize(y, scale, zero, -1, "int8")), scale, zero, -1)
                )
            y = builder.emit(relax.op.permute_dims(y, [1, 0])) if moved else y
            result = builder.emit_output(relax.Tuple([builder.emit(relax.op.matmul(y, relax.const(weight)))]))
        builder.emit_func_output(result)
    return builder.get()


def operators(module):
    return [
        binding.value.op.name
        for binding in module["main"].body.blocks[0].bindings
        if isinstance(binding.value, relax.Call)
    ]


def test_weights_on_a_grid_become_integers():
    completed = CompleteWeights()(layer(GRID))
    (weight,) = [
        b.value
        for b in completed["main"].body.blocks[0].bindings
        if isinstance(b.value, relax.Call)
        and b.value.op.name == "relax.dequantize"
        and not isinstance(b.value.args[0], relax.Var)
    ]
    values, scales = weight.args[0].value.numpy(), weight.args[1].value.numpy()
    assert (
        values.dtype == np.int8
        and np.array_equal(values * scales, GRID)
        and scales.tolist() == [np.float32(0.5) / np.float32(63), 1.0]
    )


def test_a_moved_tensor_is_quantised_again():
    found = operators(CompleteWeights()(layer(GRID, moved=True)))
    assert found == [
        "relax.quantize",
        "relax.dequantize",
        "relax.permute_dims",
        "relax.quantize",
        "relax.dequantize",
        "relax.dequantize",
        "relax.matmul",
    ]


def test_ordinary_weights_and_float_data_stay():
    """The file computes them in float: no grid, or no quantizer in front."""
    ordinary = np.random.default_rng(0).standard_normal((2, 2)).astype("float32") * np.float32(np.pi) + np.array(
        [[0, 1e-3], [1, 7]], "float32"
    )
    for network in (
        layer(np.concatenate([ordinary, ordinary**3], 1)[:, :2] * np.array([[1.0], [1e-4]], "float32")),
        layer(GRID, quantised=False),
    ):
        assert_structural_equal(CompleteWeights()(network), network)
