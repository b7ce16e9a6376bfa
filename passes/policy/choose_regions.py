"""Which regions stay in float: the labelling of least total time, kernels and conversions together, as a minimum cut.

    sum over regions of (time in int8 | time in float)  +  sum over tensors of the conversions between neighbours that
                                                           differ

A tensor is quantised once for all its int8 readers and dequantised once for all its float readers."""

from collections.abc import Collection
from dataclasses import dataclass

from .min_cut import INFINITE, MinCut
from .regions import OUTSIDE, Regions, RegionTensor

_NANO = 1e9
Seconds = float


@dataclass(frozen=True)
class Times:
    """Seconds. int8, float: of the regions' kernels by region (None where a region has no int8 form). quantize,
    dequantize: of each tensor's conversion."""

    int8: tuple[Seconds | None, ...]
    float: tuple[Seconds, ...]
    quantize: tuple[Seconds, ...]
    dequantize: tuple[Seconds, ...]

    def of(self, regions: Regions, released: frozenset[int]) -> Seconds:
        """Seconds of the network with these regions in float."""
        floats = self.floats(released)
        kernels = sum(
            real if n in floats or int8 is None else int8
            for n, (int8, real) in enumerate(zip(self.int8, self.float, strict=True))
        )
        return kernels + sum(self.conversions(tensor, number, floats) for number, tensor in enumerate(regions.tensors))

    def floats(self, released: frozenset[int]) -> frozenset[int]:
        """All regions that compute in float."""
        return released | {number for number, seconds in enumerate(self.int8) if seconds is None}

    def conversions(self, tensor: RegionTensor, number: int, floats: Collection[int]) -> Seconds:
        """Seconds of converting one tensor; floats: all regions in float."""
        made_float = tensor.producer == OUTSIDE or tensor.producer in floats
        read_int8 = any(reader != OUTSIDE and reader not in floats for reader in tensor.readers)
        read_float = any(reader == OUTSIDE or reader in floats for reader in tensor.readers)
        return self.quantize[number] * (made_float and read_int8) + self.dequantize[number] * (
            not made_float and read_float
        )


def choose_float(
    regions: Regions, times: Times, margin: float = 1.0, kept: frozenset[int] = frozenset()
) -> frozenset[int]:
    """The regions with an int8 form that are faster in float. margin: by how much float's kernels are taken for slower
    than they are, e.g. 1.05.
    kept: regions that stay in int8 whatever it costs."""
    count = len(regions.members)
    cut = MinCut(count + 1)
    outside = count
    cut.cost(outside, INFINITE, 0)  # The caller's tensors are float.
    for number in range(count):
        int8 = times.int8[number]
        cut.cost(
            number,
            INFINITE if int8 is None else _cost(int8),
            INFINITE if number in kept and int8 is not None else _cost(times.float[number] * margin),
        )

    def node(number: int) -> int:
        return outside if number == OUTSIDE else number

    for number, tensor in enumerate(regions.tensors):
        quantized, dequantized = cut.add_node(), cut.add_node()
        cut.differ(quantized, node(tensor.producer), _cost(times.quantize[number]))
        cut.differ(node(tensor.producer), dequantized, _cost(times.dequantize[number]))
        for reader in tensor.readers:
            cut.differ(node(reader), quantized, INFINITE)
            cut.differ(dequantized, node(reader), INFINITE)
    return frozenset(n for n in cut.solve() if n < count and times.int8[n] is not None)


def _cost(seconds: float) -> int:
    return max(0, round(seconds * _NANO))
