"""The passes that make a hub of a network that comes quantised."""

import numpy as np
import pytest
from tvm import relax
from tvm.script import ir as I, relax as R

from octet.passes.calibrate.given_quantizers import CompleteWeights, RemoveQuantizers

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


def test_quantizers_become_the_ranges_that_they_cut(becomes):
    becomes(RemoveQuantizers(), Pairs, Clipped)


def test_without_quantizers_nothing_is_removed(unchanged):
    unchanged(RemoveQuantizers(), Clipped)


def layer(weight, moved=False, quantised=True, expected=False):
    """x [-> quantize -> dequantize] [-> permute_dims] -> matmul(weight); or what the pass is to make of it."""
    x, builder = relax.Var("x", relax.TensorType([2, 2], "float32")), relax.BlockBuilder()
    with builder.function("main", [x]):
        with builder.dataflow():
            y, scale, zero = x, relax.const(np.float32(0.5)), relax.const(np.int8(3))
            if quantised:
                y = builder.emit(
                    relax.op.dequantize(builder.emit(relax.op.quantize(y, scale, zero, -1, "int8")), scale, zero, -1)
                )
            y = builder.emit(relax.op.permute_dims(y, [1, 0])) if moved else y
            if moved and expected:
                y = builder.emit(
                    relax.op.dequantize(builder.emit(relax.op.quantize(y, scale, zero, -1, "int8")), scale, zero, -1)
                )
            w = relax.const(weight)
            if expected:
                steps, scales, zeros = np.int8([[126, -127], [63, 3]]), np.float32([0.5 / 63, 1]), np.int8([0, 0])
                w = builder.emit(relax.op.dequantize(*map(relax.const, (steps, scales, zeros)), axis=1))
            result = builder.emit_output(relax.Tuple([builder.emit(relax.op.matmul(y, w))]))
        builder.emit_func_output(result)
    return builder.get()


@pytest.mark.parametrize("moved", [False, True])
def test_weights_on_a_grid_become_integers_and_a_moved_tensor_is_quantised_again(becomes, moved):
    becomes(CompleteWeights(), layer(GRID, moved), layer(GRID, moved, expected=True))


def test_ordinary_weights_and_float_data_stay(unchanged):
    """The file computes them in float: no grid, or no quantizer in front."""
    ordinary = np.random.default_rng(0).standard_normal((2, 2)).astype("float32") * np.float32(np.pi) + np.array(
        [[0, 1e-3], [1, 7]], "float32"
    )
    for network in (
        layer(np.concatenate([ordinary, ordinary**3], 1)[:, :2] * np.array([[1.0], [1e-4]], "float32")),
        layer(GRID, quantised=False),
    ):
        unchanged(CompleteWeights(), network)
