"""The options of post-training quantization, in one frozen value."""

from dataclasses import dataclass

from octet.targets.errors import OctetError

CALIBRATORS = ("max", "percentile", "entropy", "mse")
GRANULARITIES = ("per-channel", "per-tensor")
ACTIVATIONS = ("affine", "symmetric")


@dataclass(frozen=True)
class Recipe:
    """calibrator: how a range is chosen from the statistics. percentile: per cent of the values that the range keeps, for
    calibrator "percentile". activations: "affine" or "symmetric". weights: "per-channel" or "per-tensor".
    float_operators: names of operators (as in `Quantized.decisions`) to leave in float."""

    calibrator: str = "mse"
    percentile: float = 99.99
    activations: str = "affine"
    weights: str = "per-channel"
    float_operators: frozenset[str] = frozenset()

    def __post_init__(self):
        _one_of("calibrator", self.calibrator, CALIBRATORS)
        _one_of("activations", self.activations, ACTIVATIONS)
        _one_of("weights", self.weights, GRANULARITIES)
        if isinstance(self.percentile, bool) or not isinstance(self.percentile, (int, float)) or not 50 <= self.percentile <= 100:
            raise OctetError(f"recipe: percentile {self.percentile!r} is not a number from 50 to 100; 99.9 to 99.9999 is usual")
        if isinstance(self.float_operators, str):
            raise OctetError("recipe: float_operators is a set of operator names, not one string")
        object.__setattr__(self, "float_operators", frozenset(self.float_operators))


def _one_of(option, value, allowed):
    if value not in allowed:
        raise OctetError(f"recipe: {option} {value!r} is unknown: use one of {', '.join(allowed)}")
