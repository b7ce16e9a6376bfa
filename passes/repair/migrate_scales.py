"""Migration of outlier channels (SmoothQuant, Xiao et al., arXiv 2211.10438, equation 4): f = w**(1 - strength) / a**strength by channel, with
a the largest activation and w the largest weight that reads it. Activations become even at the weights' expense: strength 1 makes all
channels equally large, 0.5 shares the difficulty. Behind layer normalisations and behind any layer that can absorb the factor."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from tvm import IRModule

from octet.targets.errors import OctetError

from .scale_channels import magnitudes, power_of_two, scale_channels
from .streams import streams_of


@dataclass(frozen=True)
class MigrateScales:
    """strength: 0 to 1. largest: {tensor: float [channels]}, the largest magnitude of every channel on calibration data; streams of which no
    tensor is in it stay as they are."""

    strength: float
    largest: Mapping[str, np.ndarray]

    def __post_init__(self):
        if not 0 <= self.strength <= 1:
            raise OctetError(f"migration: strength {self.strength} is not between 0 and 1")

    def __call__(self, mod: IRModule) -> IRModule:
        factors = []
        for stream in streams_of(mod):
            seen = [np.asarray(self.largest[name], np.float64) for name in stream.tensors if name in self.largest]
            if not seen:
                continue
            activation, weight = np.max(seen, axis=0), magnitudes(mod, stream.readers, stream.channels)
            with np.errstate(divide="ignore", invalid="ignore"):
                factor = power_of_two(weight ** (1 - self.strength) / activation**self.strength)
            if np.any(factor != 1):
                factors.append((stream, np.where((activation > 0) & (weight > 0), factor, np.float32(1))))
        return scale_channels(mod, factors) if factors else mod
