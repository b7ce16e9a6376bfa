"""How one tensor is quantised, in torchao's words. The specs become the attributes of `octet.observe`.

Attributes of `octet.observe(x)`:

=======  ==========================================================================================================
edge     int, the number of the tensor: ascending in program order, unique
spec     "own" (from its own statistics), "shared" (the qparams of `group`), "fixed" (a range known beforehand),
         "weight"
group    int, the edge whose qparams this one uses; itself unless shared
scheme   "affine" (s8 [-128, 127], any zero point) or "symmetric" (s8 [-127, 127], zero point 0)
source   1 if the tensor's statistics count for its group, 0 if its values come from other members of the group
made     1 if an int8 operator makes the tensor, 0 if it is quantised from float (an input, a float operator's result)
low      fixed: the range
high
floor    own: that no reader tells smaller values from, as functions are flat below; left out where there is none
axis     weight: the axis of the output channels, -1 for one scale for the whole tensor
tensor   the tensor's name in the fp32 graph, for reports
=======  ==========================================================================================================

Biases are derived (scale = data scale * weight scale): they stay ordinary float constants in the hub, so that leaving a
layer in float is no more than taking its observers away; realize and the ONNX export round them to int32.
"""

from dataclasses import dataclass

from octet.targets.errors import OctetError

SCHEMES = ("affine", "symmetric")


def _check_scheme(scheme: str) -> None:
    if scheme not in SCHEMES:
        raise OctetError(f"quantization scheme {scheme!r} is unknown: use one of {', '.join(SCHEMES)}")


@dataclass(frozen=True)
class QuantizationSpec:
    """The tensor's scale comes from its own values."""

    scheme: str = "affine"
    floor: float | None = None

    def __post_init__(self) -> None:
        _check_scheme(self.scheme)


@dataclass(frozen=True)
class SharedQuantizationSpec:
    """The tensor has the scale and zero point of another edge (an operator between them only moves data)."""

    edge: int


@dataclass(frozen=True)
class FixedQuantizationSpec:
    """The range is known from the operator (softmax, sigmoid: [0, 1]; tanh: [-1, 1]): nothing is measured."""

    low: float
    high: float
    scheme: str = "affine"

    def __post_init__(self) -> None:
        _check_scheme(self.scheme)
        if not self.low < self.high:
            raise OctetError(f"fixed range [{self.low}, {self.high}] is empty: low must be below high")
