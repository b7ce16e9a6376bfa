"""t -> t * f on a stream: makers and offsets * f, readers and counter offsets / f. All factors are powers of two, so
not one bit of the fp32 result changes (short of overflow). Runs on the canonical fp32 graph."""

from typing import TYPE_CHECKING

import numpy as np
from tvm import IRModule

from ..annotate.graph import Graph
from ..constants import array_of
from .channel_streams import ChannelStream
from .weights import Operand, replace_constants

if TYPE_CHECKING:
    from ..annotate.graph import Node
    from .channel_streams import Site

LIMIT = 10  # Factors go from 2**-LIMIT to 2**LIMIT.


def power_of_two(factors: np.ndarray) -> np.ndarray:
    """The nearest powers of two (in the exponent), float32, their product near 1; what is not positive and finite
    becomes 1."""
    factors = np.asarray(factors, np.float64)
    usable = np.isfinite(factors) & (factors > 0)
    exponents = np.log2(np.where(usable, factors, 1.0))
    centred = exponents - (np.median(exponents[usable]) if usable.any() else 0.0)
    return np.exp2(np.clip(np.rint(np.where(usable, centred, 0.0)), -LIMIT, LIMIT)).astype(np.float32)


def sharing(streams: list[ChannelStream]) -> list[list[ChannelStream]]:
    """The streams in groups that share a tensor, as branches that meet in a concat do, and pieces of a split. Queries
    with their keys are a group by themselves: the level of one is the inverse of the other's."""
    groups: list[tuple[set[str], list[ChannelStream]]] = []
    for stream in streams:
        names, members = {tap.name for tap in stream.taps}, [stream]
        if not stream.counter_taps:
            for group in [group for group in groups if group[0] & names]:
                groups.remove(group)
                names, members = names | group[0], group[1] + members
        groups.append((set() if stream.counter_taps else names, members))
    return [members for _, members in groups]


def centred(groups: list[list[tuple[ChannelStream, np.ndarray]]]) -> list[tuple[ChannelStream, np.ndarray]]:
    """Factors by stream as powers of two. groups: streams that share a tensor, and so its one scale (`sharing`): they
    have one centre, or what their levels differ by would cancel out."""
    found = []
    for group in groups:
        powers = power_of_two(np.concatenate([factor for _, factor in group]))
        parts = np.split(powers, np.cumsum([len(factor) for _, factor in group])[:-1])
        found += [(stream, part) for (stream, _), part in zip(group, parts) if np.any(part != 1)]
    return found


def scale_channels(mod: IRModule, factors: list[tuple[ChannelStream, np.ndarray]]) -> IRModule:
    """The network with its channels scaled. factors: float32 [channels] by stream."""
    nodes = Graph(mod).nodes
    constants: dict[Operand, np.ndarray] = {}
    for stream, factor in factors:
        for site in (*stream.makers, *stream.offsets):
            _multiply(constants, nodes, site, factor)
        for site in (*stream.readers, *stream.counter_offsets):
            _multiply(constants, nodes, site, 1 / factor)
    return replace_constants(mod, constants)


def _multiply(
    constants: dict[Operand, np.ndarray], nodes: "tuple[Node, ...]", site: "Site", factor: np.ndarray
) -> None:
    key = (site.index, site.position)
    value = constants[key] if key in constants else array_of(nodes[site.index].value.args[site.position])
    whole = np.ones(value.shape[site.axis], np.float32)
    whole[site.places] = factor
    shape = [1] * value.ndim
    shape[site.axis] = -1
    constants[key] = value * whole.reshape(shape)


def magnitudes(mod: IRModule, sites: "list[Site]", channels: int) -> np.ndarray:
    """Largest magnitude per channel over some constants, float64 [channels]."""
    nodes, largest = Graph(mod).nodes, np.zeros(channels)
    for site in sites:
        value = np.abs(array_of(nodes[site.index].value.args[site.position]).astype(np.float64))
        largest = np.maximum(
            largest, value.max(axis=tuple(i for i in range(value.ndim) if i != site.axis))[site.places]
        )
    return largest
