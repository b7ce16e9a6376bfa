"""Cross-layer equalisation (Nagel et al., arXiv 1906.04721, section 4.1): f = sqrt(largest reading weight / largest making weight), by channel.

Afterwards the weights that make a channel and those that read it have the same range: one scale per tensor suits them all. Needs no data."""

from dataclasses import dataclass

import numpy as np
from tvm import IRModule

from .scale_channels import magnitudes, power_of_two, scale_channels
from .streams import streams_of


@dataclass(frozen=True)
class EqualizeChannels:
    """sweeps: a depthwise layer belongs to two streams and couples them, so a chain needs some rounds."""

    sweeps: int = 3

    def __call__(self, mod: IRModule) -> IRModule:
        streams = streams_of(mod)  # rescaling keeps the graph: the sites stay valid
        for _ in range(self.sweeps):
            for stream in streams:
                made, read = (magnitudes(mod, sites, stream.channels) for sites in (stream.makers, stream.readers))
                with np.errstate(divide="ignore", invalid="ignore"):
                    factor = power_of_two(np.sqrt(read / made))
                if np.any(factor != 1):
                    mod = scale_channels(mod, [(stream, factor)])
        return mod
