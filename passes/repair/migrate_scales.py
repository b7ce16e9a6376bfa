"""Migration of outlier channels (SmoothQuant, Xiao et al., arXiv 2211.10438, equation 4): f = w**(1 - strength) /
a**strength by channel, with a the largest activation and w the largest weight that reads it. Activations become even at
the weights' expense: strength 1 makes all channels equally large, 0.5 shares the difficulty. Behind layer
normalisations and behind any layer that can absorb the factor.

Queries q and keys k are two activations that multiply each other: f = sqrt(largest k / largest q) makes both equally
uneven, whatever the strength."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tvm import IRModule

from octet.targets.errors import OctetError

from .find_streams import streams_of
from .scale_channels import centred, magnitudes, scale_channels, sharing

if TYPE_CHECKING:
    from .channel_streams import ChannelStream, StreamTap


@dataclass(frozen=True)
class MigrateScales:
    """The pass that moves a part of the activations' spread between channels into the weights.

    strength: 0 to 1. largest: {tensor: float [channels]}, the largest magnitude of every channel on calibration
    data; streams of which no tensor is in it stay as they are."""

    strength: float
    largest: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise OctetError(f"migration: strength {self.strength} is not between 0 and 1")

    def __call__(self, mod: IRModule) -> IRModule:
        """The fp32 module with a part of the activations' spread in the weights, or `mod` itself where no stream can be
        rescaled."""
        groups = [
            [(s, factor) for s in group if (factor := self._factor(mod, s)) is not None]
            for group in sharing(streams_of(mod))
        ]
        factors = centred([group for group in groups if group])
        return scale_channels(mod, factors) if factors else mod

    def _factor(self, mod: IRModule, stream: "ChannelStream") -> np.ndarray | None:
        """float64 [channels], NaN where a channel has none; None where nothing is known of the stream."""
        activation, against = (
            _largest(self.largest, taps, stream.channels) for taps in (stream.taps, stream.counter_taps)
        )
        if activation is None or (stream.counter_taps and against is None):
            return None
        other, share = (
            (magnitudes(mod, stream.readers, stream.channels), self.strength) if against is None else (against, 0.5)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where((activation > 0) & (other > 0), other ** (1 - share) / activation**share, np.nan)


def _largest(known: Mapping[str, np.ndarray], taps: "list[StreamTap]", channels: int) -> np.ndarray | None:
    """Largest magnitude per channel of a stream over those of its tensors that are known, float64; None if none is."""
    seen = [np.asarray(known[tap.name], np.float64)[tap.places] for tap in taps if tap.name in known]
    assert all(len(values) == channels for values in seen)
    return np.max(seen, axis=0) if seen else None
