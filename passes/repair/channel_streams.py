"""Streams: channels that must share a factor, with the constants that can absorb it.

    a stream t with factors f: t' = t * f  <=>  every constant that makes t is multiplied by f along its channel axis,
                                                every constant that reads t is divided by f along its channel axis

The function stays what it was wherever everything between makers and readers commutes with a positive factor per
channel: relu, leaky relu, pooling, sums of tensors of one stream, splitting a result into heads, and the products of
attention:

    probabilities (v * f) = (probabilities v) * f          values and the output projection's inputs are one stream
    (q * f) (k / f)' = q k'                                queries and keys are one stream, the keys with 1 / f

Runs on the canonical fp32 graph. labels.py says which elements are one channel, exponents.py which channels share a
factor."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, eq=False)
class Site:
    """A constant operand: index of the binding, position among the call's arguments, axis of the constant that is the
    channel, and where along it the stream's channels lie."""

    index: int
    position: int
    axis: int
    places: np.ndarray


@dataclass(frozen=True, eq=False)
class StreamTap:
    """A tensor of the stream: name, and where along its channel axis (1 of rank 4, else the last) the channels lie."""

    name: str
    places: np.ndarray


@dataclass
class ChannelStream:
    """Channels that constants make and constants read, so that a factor at one end can be undone at the other.

    channels: how many. makers, offsets: constants to multiply (weights; biases). readers, counter_offsets: constants
    to divide. taps: tensors that are multiplied; counter_taps: tensors that are divided (keys)."""

    channels: int
    makers: list[Site] = field(default_factory=list)
    offsets: list[Site] = field(default_factory=list)
    readers: list[Site] = field(default_factory=list)
    counter_offsets: list[Site] = field(default_factory=list)
    taps: list[StreamTap] = field(default_factory=list)
    counter_taps: list[StreamTap] = field(default_factory=list)

    @property
    def tensors(self) -> list[str]:
        """The names of the tensors that the stream runs through."""
        return [tap.name for tap in (*self.taps, *self.counter_taps)]
