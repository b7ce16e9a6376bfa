"""The options of post-training quantization, in one frozen value."""

from dataclasses import dataclass, replace

from octet.targets.errors import OctetError

CALIBRATORS = ("max", "percentile", "entropy", "mse", "auto")
GRANULARITIES = ("per-channel", "per-tensor")
ACTIVATIONS = ("affine", "symmetric")
PRECISIONS = ("int8", "float")
SOFTMAXES = ("float", "table")
FLOATS = ("fp32", "bf16")
BOUNDARIES = ("float", "int8")


@dataclass(frozen=True)
class Recipe:
    """Everything that a user chooses about how a network is quantised.

    calibrator: how a range is chosen from the statistics; "auto" measures the choices and is replaced by the best
    before ranges are needed (passes/sensitivity). percentile: per cent of the values that the range keeps, for
    calibrator "percentile". activations: "affine" or "symmetric". weights: "per-channel" or "per-tensor".
    float_operators: names of operators (as in `Quantized.decisions`) to leave in float.
    float_layers, int8_layers: globs over names, or over types as "op:GLOB" (named.py): what the user leaves in float,
    and what stays in int8 against everything that would leave it in float: `float_layers`, `attention`, `residuals`, a
    search, a policy.
    per_tensor: (tensor, calibrator, percentile) of the tensors that have a calibrator of their own.
    attention: "int8" or "float" products of two computed tensors. residuals: the sums in front of a layer
    normalisation, "int8" (with it, what runs between the blocks of a transformer) or "float". softmax: "float", or
    "table" between two int8 tensors (passes/ops.py) where no mask comes in. floats: what layers that stay in float
    multiply, "fp32" or "bf16" (and add in fp32; passes/realize/use_bfloat16.py).
    self_check: the compiled network notices bits that flip while it runs (passes/lower/watch). count_clips: it counts
    clipped values (targets/watch/health.py). io: "int8" for code that takes and gives the int8 codes of quantised
    inputs and outputs, beside that for float ones (passes/realize/integer_boundary.py)."""

    calibrator: str = "mse"
    percentile: float = 99.99
    activations: str = "affine"
    weights: str = "per-channel"
    float_operators: frozenset[str] = frozenset()
    per_tensor: tuple[tuple[str, str, float], ...] = ()
    attention: str = "int8"
    residuals: str = "int8"
    softmax: str = "float"
    floats: str = "fp32"
    float_layers: tuple[str, ...] = ()
    int8_layers: tuple[str, ...] = ()
    self_check: bool = False
    count_clips: bool = False
    io: str = "float"

    def __post_init__(self) -> None:
        _one_of("calibrator", self.calibrator, CALIBRATORS)
        _one_of("activations", self.activations, ACTIVATIONS)
        _one_of("weights", self.weights, GRANULARITIES)
        _one_of("attention", self.attention, PRECISIONS)
        _one_of("residuals", self.residuals, PRECISIONS)
        _one_of("softmax", self.softmax, SOFTMAXES)
        _one_of("floats", self.floats, FLOATS)
        _one_of("io", self.io, BOUNDARIES)
        if (
            isinstance(self.percentile, bool)
            or not isinstance(self.percentile, (int, float))
            or not 50 <= self.percentile <= 100
        ):
            raise OctetError(
                f"recipe: percentile {self.percentile!r} is not a number from 50 to 100; 99.9 to 99.9999 is usual"
            )
        if isinstance(self.float_operators, str):
            raise OctetError("recipe: float_operators is a set of operator names, not one string")
        object.__setattr__(self, "float_operators", frozenset(self.float_operators))
        for option in ("float_layers", "int8_layers"):
            patterns = getattr(self, option)
            if isinstance(patterns, str) or not all(isinstance(pattern, str) and pattern for pattern in patterns):
                raise OctetError(
                    f"recipe: {option} is a list of globs over operator names, such as ['layer4.*', 'op:matmul']"
                )
            object.__setattr__(self, option, tuple(patterns))

    def of_tensor(self, name: str) -> "Recipe":
        """The recipe with the tensor's own calibrator, if it has one."""
        own = next((entry for entry in self.per_tensor if entry[0] == name), None)
        return self if own is None else replace(self, calibrator=own[1], percentile=own[2])


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise OctetError(f"recipe: {option} {value!r} is unknown: use one of {', '.join(allowed)}")
