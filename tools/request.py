"""What `compile-model` is asked for: the options of the command."""

from dataclasses import dataclass

from ..targets.errors import OctetError
from .building.given import Given

# Measurement may decide these options of the recipe where the user leaves them open.
_FREE = ("residuals", "attention", "softmax", "activations", "calibrator")


@dataclass(frozen=True)
class Request:
    """The options of the command; None where the user did not give one."""

    model: str
    calib: str
    output: str
    targets: tuple[str, ...] = ()
    given: Given = Given()
    threads: int | None = None
    validate: str | None = None
    metric: str | None = None
    output_names: tuple[str, ...] = ()
    max_drop: float | None = None
    calibrator: str | None = None
    percentile: float | None = None
    activations: str | None = None
    weights: str | None = None
    attention: str | None = None
    residuals: str | None = None
    softmax: str | None = None
    floats: str | None = None
    float_layers: tuple[str, ...] = ()
    int8_layers: tuple[str, ...] = ()
    trials: int = 0
    db: str | None = None
    policy: str = "fastest"
    budget: str | None = None
    max_float: float = 0.5
    repair: bool = True
    report: str | None = None
    cache: str | None = None
    no_cache: bool = False
    referee: bool = False
    self_check: bool = False
    derivation: str | None = None
    count_clips: bool = False
    io: str = "float"

    def __post_init__(self):
        if self.validate is None and (self.max_drop is not None or self.metric is not None):
            raise OctetError(
                f"--{'metric' if self.max_drop is None else 'max-drop'}: needs labelled data; add --validate DATA.npz"
            )
        if self.int8_layers and self.policy == "float":
            raise OctetError(
                f"--int8-layers {self.int8_layers[0]}: --policy float leaves nothing in int8; leave one of them out"
            )

    def free(self, specs) -> tuple[str, ...]:
        """What the user left open and measurement may decide: under a policy that asks for time, where the cost model
        knows a target."""
        if self.policy != "fastest" or not any(spec.backend.estimates for spec in specs):
            return ()
        return tuple(option for option in _FREE if getattr(self, option) is None)
