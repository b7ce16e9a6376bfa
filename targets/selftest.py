"""The self-test vectors of a package, read back."""

import io
from typing import TYPE_CHECKING

import numpy as np

from .npz import read_npz

if TYPE_CHECKING:
    from .manifest.fields import Tensor

_HEADER = 1 << 12  # An array has at most these bytes in front of it.


def read_selftest(data: bytes, inputs: "tuple[Tensor, ...]", outputs: "tuple[Tensor, ...]") -> dict[str, np.ndarray]:
    """Arrays "input/NAME" and "output/NAME" of a member of a package. inputs, outputs: the signature, tensors with
    name, shape, dtype, nbytes and counted. Raises ValueError where the arrays are not of it: nothing larger than that
    is read."""
    specs = {
        f"{side}/{tensor.name}": tensor
        for side, tensors in (("input", inputs), ("output", outputs))
        for tensor in tensors
    }
    try:
        arrays = read_npz(io.BytesIO(data), sum(tensor.nbytes + _HEADER for tensor in specs.values()))
    except (ValueError, OSError) as error:
        raise ValueError(f"its self-test cannot be read ({error})") from None
    for name in arrays.keys() ^ specs.keys():
        raise ValueError(f"its self-test and its signature do not belong together ({name!a})")
    for name, tensor in specs.items():
        if str(arrays[name].dtype) != tensor.dtype or not _fits(arrays[name].shape, tensor):
            raise ValueError(
                f"its self-test has {name} as {arrays[name].dtype} {list(arrays[name].shape)}, its signature as "
                f"{tensor.dtype} {list(tensor.shape)}"
            )
    return arrays


def _fits(shape: tuple[int, ...], tensor: "Tensor") -> bool:
    """Whether a result has the shape of the signature, or fewer elements along the axis on which they are counted."""
    counted = tensor.counted[0] if tensor.counted is not None else None
    return len(shape) == len(tensor.shape) and all(
        a == b or (axis == counted and a < b) for axis, (a, b) in enumerate(zip(shape, tensor.shape))
    )
