"""More pictures out of few: turned, scaled, shifted and lit otherwise. The fp32 network says what each of them is, so
no label is needed."""

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn import functional as F

from ...passes.frontend.model import Model
from ...targets.errors import OctetError
from ...targets.stored_array import Array

_COLOURS = (1, 3, 4)  # An axis of channels has one of these extents.
_LOOKED_AT = 256  # So many pictures say which values occur.


class Repeated:
    """`array` (samples on the first axis) and, behind it, `count` times the same again; rows are made when they are
    read. dtype, shape, len() and [rows] as of an ndarray."""

    def __init__(self, array, count: int):
        self._array, self.dtype, self.ndim = array, array.dtype, array.ndim
        self.shape = (len(array) * (count + 1), *array.shape[1:])

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows) -> np.ndarray:
        return self._made(np.arange(len(self))[rows])

    def _made(self, rows):
        return self._array[rows % len(self._array)]


class Varied(Repeated):
    """The same with every repetition of a picture varied, as row and `seed` say, in the range of the first pictures.
    axis: of the channels."""

    def __init__(self, array, count: int, seed: int, axis: int):
        super().__init__(array, count)
        self._seed, self._axis = seed, axis
        some = array[:_LOOKED_AT]
        self._low, self._high, self._deviation = float(some.min()), float(some.max()), float(some.std(dtype=np.float64))

    def _made(self, rows):
        found, new = super()._made(rows).copy(), np.flatnonzero(rows >= len(self._array))
        if len(new):
            varied = np.moveaxis(self._varied(np.moveaxis(found[new], self._axis, 1), rows[new]), 1, self._axis)
            found[new] = np.rint(varied) if found.dtype.kind == "u" else varied
        return found

    def _varied(self, pictures, rows):
        """Turned by up to 14 degrees, sheared by 0.2, scaled by 20 %, made wider by 15 %, shifted by a sixteenth;
        contrast and every channel's brightness by 0.3, noise of 0.1 deviations."""
        x = torch.from_numpy(np.ascontiguousarray(pictures, np.float32))
        rngs = [np.random.default_rng([self._seed, row]) for row in rows]
        angle, scale, wide, shear, right, down, contrast, noisy = torch.from_numpy(
            np.stack([rng.uniform(-1, 1, 8) for rng in rngs], 1).astype(np.float32)
        )
        cos, sin, wide = torch.cos(angle / 4) * (1 + scale / 5), torch.sin(angle / 4) * (1 + scale / 5), 1 + wide * 0.15
        places = torch.stack(
            [torch.stack([cos * wide, shear / 5 - sin, right / 8], 1), torch.stack([sin, cos, down / 8], 1)], 1
        )
        x = F.grid_sample(
            x, F.affine_grid(places, x.shape, align_corners=False), padding_mode="border", align_corners=False
        )
        light = torch.from_numpy(np.stack([rng.uniform(-1, 1, (x.shape[1], 1, 1)) for rng in rngs]).astype(np.float32))
        noise = torch.from_numpy(np.stack([rng.standard_normal(x.shape[1:], np.float32) for rng in rngs]))
        middle = (self._low + self._high) / 2
        x = (x - middle) * (1 + 0.3 * contrast.reshape(-1, 1, 1, 1)) + middle
        x = x + self._deviation * (0.3 * light + 0.1 * noisy.reshape(-1, 1, 1, 1) * noise)
        return x.clamp(self._low, self._high).numpy()


def with_variants(model: Model, arrays: Mapping[str, Array], count: int, seed: int) -> dict[str, Array | Repeated]:
    """Adds variants of the samples behind them.

    {input: the samples and, behind them, `count` variants of each}: pictures ([N, C, H, W] or [N, H, W, C] of 1, 3
    or 4 channels, or [N, C, H, W] of any) vary, all else is repeated.
    Raises OctetError where no input holds pictures."""
    if not count:
        return dict(arrays)
    axes = {spec.name: _channels(arrays[spec.name], spec) for spec in model.inputs}
    if not any(axes.values()):
        raise OctetError(
            "--variants: no input of the model holds pictures ([N, C, H, W] or [N, H, W, C]); give more training "
            "samples instead"
        )
    return {
        name: Varied(arrays[name], count, seed, axis) if axis else Repeated(arrays[name], count)
        for name, axis in axes.items()
    }


def _channels(array, spec):
    """The axis of the channels of pictures; None for anything else."""
    if array.ndim != 4 or len(spec.shape) != 4 or array.dtype.kind not in "fu":
        return None
    found = next((axis for axis in (1, 3) if array.shape[axis] in _COLOURS), 1)
    return found if min(array.shape[axis] for axis in (1, 2, 3) if axis != found) > 1 else None
