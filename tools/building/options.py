"""What a build is asked for: one value that travels from the command, or from the library's caller, to whoever
builds."""

from dataclasses import dataclass

from ...passes.annotate.recipe import Recipe
from ...passes.calibrate.cache import StatisticsCache
from ...targets.errors import OctetError

POLICIES = ("fastest", "int8", "float")


@dataclass(frozen=True)
class BuildOptions:
    """What the user asks of a build.

    recipe: how a network is quantised (a hub that is there has its own). targets: their names. threads: of every run
    on this machine, None for all cores. trials: schedules to measure per kernel; 0 measures none. db: a file or URL of
    tuning records, which are applied; None for none, with trials the user's. policy: one of POLICIES. cache: where
    statistics are kept and looked up. free: options of the recipe that the user left open ("residuals", "attention",
    "softmax", "activations", "calibrator") and measurement may decide. repair: whether channels may be rescaled where
    int8 is far from fp32. outputs: names of those that errors are of, () for all. seconds: as the clock on the wall
    says, for a search or for what is tried without one; None for no limit or for the default. Raises OctetError for a
    policy that is none and for trials below 0."""

    recipe: Recipe = Recipe()
    targets: tuple[str, ...] = ("native",)
    threads: int | None = None
    trials: int = 0
    db: str | None = None
    policy: str = "fastest"
    cache: StatisticsCache | None = None
    free: tuple[str, ...] = ()
    repair: bool = True
    outputs: tuple[str, ...] = ()
    seconds: float | None = None

    def __post_init__(self):
        if self.trials < 0:
            raise OctetError(f"trials is {self.trials}; it must be 0 or more")
        if self.policy not in POLICIES:
            raise OctetError(f"policy {self.policy!r} is unknown: use one of {', '.join(POLICIES)}")
