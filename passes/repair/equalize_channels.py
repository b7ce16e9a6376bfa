"""Cross-layer equalisation (Nagel et al., arXiv 1906.04721, section 4.1): f = sqrt(largest reading weight / largest
making weight), by channel.

Afterwards the weights that make a channel and those that read it have the same range: one scale per tensor suits them
all. Needs no data."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tvm import IRModule

from .find_streams import streams_of
from .scale_channels import centred, magnitudes, scale_channels, sharing

if TYPE_CHECKING:
    from .channel_streams import ChannelStream


@dataclass(frozen=True)
class EqualizeChannels:
    """The pass that balances the ranges of channels between the layers that make and read them.

    sweeps: a depthwise layer belongs to two streams and couples them, so a chain needs some rounds."""

    sweeps: int = 3

    def __call__(self, mod: IRModule) -> IRModule:
        """The fp32 module with the channels of every stream rescaled, or `mod` itself where no stream can be."""
        groups = sharing(streams_of(mod))  # Rescaling keeps the graph, so the sites stay valid.
        for _ in range(self.sweeps):
            for group in groups:
                factors = centred([[(stream, _factor(mod, stream)) for stream in group]])
                mod = scale_channels(mod, factors) if factors else mod
        return mod


def _factor(mod: IRModule, stream: "ChannelStream") -> np.ndarray:
    made, read = (magnitudes(mod, sites, stream.channels) for sites in (stream.makers, stream.readers))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt(read / made)
