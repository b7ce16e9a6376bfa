"""A twin of a network that computes exactly the same in fp32 and is hard to quantise: output channels of layers
multiplied by random powers of two from 1/16 to 16, divided out again by the layers that read them. A measure of what
the repairs are worth."""

import numpy as np
from tvm import IRModule

from octet.passes.repair.find_streams import streams_of
from octet.passes.repair.scale_channels import scale_channels

POWERS = 2.0 ** np.arange(-4, 5)


def rescaled_twin(mod: IRModule, seed: int = 0) -> IRModule:
    """The twin of a canonical fp32 graph; equal for equal seeds. Networks without streams (find_streams.py) are their
    own twins."""
    rng = np.random.default_rng(seed)
    return scale_channels(
        mod, [(stream, rng.choice(POWERS, stream.channels).astype(np.float32)) for stream in streams_of(mod)]
    )
