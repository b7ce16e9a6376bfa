"""The traits of Relax's operators: those that the canonical graph has, and what else lowering knows about."""

from typing import Any

from ..unary import RANGES, WIDE
from .traits import Traits

# Relax has an operator for these scalar functions; the values are their kinds in octet.unary (passes/unary.py).
KINDS = {
    f"relax.{name}": name for name in "sigmoid tanh exp log sqrt rsqrt erf abs sin cos floor ceil round sign".split()
} | {f"relax.nn.{name}": name for name in "silu gelu gelu_tanh softplus".split()}


def _each(names: str, **traits: Any) -> dict[str, Traits]:
    return {f"relax.{name}": Traits(**traits) for name in names.split()}


def _kinds() -> dict[str, Traits]:
    return {
        name: Traits(
            1, by_rows=True, real_function=True, wide=kind in WIDE, range=RANGES.get(kind), samples="broadcast"
        )
        for name, kind in KINDS.items()
    }


_FUNCTIONS = (
    _kinds()
    | _each(
        "nn.selu square", elementwise=1, by_rows=True, real_function=True, samples="broadcast",
    )
    | _each("nn.relu6 clip", elementwise=1, by_rows=True, real_function=True, monotone=True, samples="broadcast")
    | _each(
        "nn.leakyrelu negative",
        elementwise=1, by_rows=True, real_function=True, homogeneous=True, samples="broadcast",
    )
    | _each(
        "nn.relu",
        elementwise=1, by_rows=True, real_function=True, homogeneous=True, monotone=True, samples="broadcast",
    )
    | _each("nn.prelu", elementwise=1, real_function=True, homogeneous=True, samples="per_channel")
    | _each("quantize dequantize", elementwise=1, by_rows=True, samples="per_channel")
    | _each("add subtract multiply divide", elementwise=2, by_rows=True, real_function=True, samples="broadcast")
    | _each(
        "maximum minimum",
        elementwise=2, by_rows=True, real_function=True, monotone=True, moves=True, samples="broadcast",
    )
    | _each("power", elementwise=2, real_function=True, wide=True, samples="broadcast")
    | _each("mod floor_mod floor_divide logical_and logical_or logical_xor", elementwise=2, samples="broadcast")
    | _each("less less_equal greater greater_equal equal not_equal", elementwise=2, samples="broadcast")
    | _each("bitwise_and bitwise_or bitwise_xor left_shift right_shift", elementwise=2, samples="broadcast")
    | _each("logical_not bitwise_not isnan isinf astype", elementwise=1, samples="broadcast")
    | _each("tan sinh cosh asin acos atan asinh acosh atanh", elementwise=1, samples="broadcast")
    | _each("where", elementwise=3, samples="broadcast")
)  # Each line has operators of the same traits.  # fmt: skip

_MOVEMENT = (
    _each("reshape flatten expand_dims squeeze nn.batch_flatten", view=True, moves=True, samples="view")
    | _each("permute_dims", view=True, moves=True, samples="transpose")
    | _each("concat", moves=True, samples="concat")
    | _each("stack repeat tile", moves=True)
    | _each("strided_slice", moves=True, shrinks=True, samples="slices")
    | _each("split", moves=True, shrinks=True, samples="along")
    | _each("flip", moves=True, samples="along")
    | _each("broadcast_to", moves=True, samples="expand")
    | _each("nn.pad", moves=True, samples="pad")
    | _each("nn.max_pool2d", monotone=True, moves=True, shrinks=True, samples="images")
    | _each("image.resize2d", moves=True, samples="images")  # A resize moves values only by nearest neighbours.
    | _each("take", samples="take", stays_float="a look-up only copies rows")
    | _each("gather_elements", samples="gather")
)

_LAYERS = (
    _each("nn.conv2d", multiplies=True, samples="images")
    | _each("matmul", multiplies=True, samples="product")
    | _each("nn.avg_pool2d nn.adaptive_avg_pool2d", samples="images")
    | _each(
        "nn.softmax",
        range=(0.0, 1.0),
        samples="along",
        stays_float="softmax stays in float: its exponentials need more than 8 bits",
    )
    | _each(
        "nn.layer_norm nn.rms_norm",
        samples="along",
        stays_float="layer normalisation stays in float: its statistics need more than 8 bits",
    )
    | _each("nn.log_softmax cumsum topk", samples="along")
    | _each("nn.batch_norm nn.group_norm nn.instance_norm")
    | _each(
        "nn.max_pool1d nn.max_pool3d nn.avg_pool1d nn.avg_pool3d image.grid_sample vision.roi_align einsum tril triu "
        "eye_like nn.conv2d_transpose"
    )
    | _each("mean sum max min argmax argmin prod variance std", samples="reduction")
)

RELAX: dict[str, Traits] = _FUNCTIONS | _MOVEMENT | _LAYERS
