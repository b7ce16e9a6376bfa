"""What a network without an accuracy target may have because it is nearly free: chosen by measured error and estimated
time on a few samples, and taken back where the compiled network turns out to take longer than that is worth."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from itertools import combinations
from math import prod

from ...passes.pipeline import to_integers
from ...passes.policy.estimate import network_seconds
from ...passes.running import unwatched
from ...passes.sensitivity.attempt import LEFT_OUT, Attempt
from ...passes.sensitivity.bench import Bench
from ...passes.sensitivity.budget import Budget, cpu_seconds
from ...passes.sensitivity.choices.choose_biases import choose_biases
from ...passes.sensitivity.choices.choose_calibration import choose_ranges
from ...passes.sensitivity.choices.choose_operators import choose_operators
from ...passes.sensitivity.choices.fewest_sums import fewest_sums
from ...passes.sensitivity.choices.switches import FAR, choose_smoothing, choose_switches, switches_of
from ...passes.sensitivity.design import Design
from ...passes.sensitivity.few import soon_learnt
from ...passes.sensitivity.journal import Journal
from ...passes.sensitivity.ranking import Ranked, rank
from ...passes.sensitivity.rescaling import choose_scaling
from ...targets import detect
from ...targets.package import Package
from ...targets.x86 import cost
from .measured_cost import measured_cost
from .options import BuildOptions
from .packages import resolve_targets

# Trying may take so many seconds of CPU time, beside the calibration and the first error. A network that is FAR from
# fp32 may take what these two left of the second figure: who compiles waits for the whole.
SECONDS, SECONDS_FAR = 40.0, 130.0
_RANKING = 0.5  # Ranking operators may take this part of the seconds that are left.
_REBUILDING = 2.5  # A rescaled network is prepared in so many times what the first one took, its channels measured.
_LEARNING = 12.0  # Learning biases, twice, takes about so many times what an error takes.
# Designs that are estimated to take less than so many times the time are not measured: a clock does not tell them
# apart.
_ASKED = 1.05
# A measured time must be so many times the estimated one before a design is dropped: a machine that others use is no
# reason.
_CLEARLY = 1.1


class Choices:
    """Tries what removes much of int8's error for little time, without an accuracy target.

    bench: the network and its samples. tell(text): of every stage. steps: what was tried is appended. began: CPU
    seconds (`cpu_seconds`) when the compilation began.

    After `chosen`, `ranking` has the operators by their error, where int8 was far from fp32."""

    def __init__(
        self, bench: Bench, options: BuildOptions, tell: Callable[[str], None], steps: list[Attempt], began: float
    ) -> None:
        self.bench, self.options, self.steps, self._began = bench, options, steps, began
        self._tell, self._scout = tell, bench.scout()
        self._seconds = seconds_of(self._scout, options)
        self.ranking: list[Ranked] = []
        self._clock = Budget()

    def chosen(self, design: Design) -> Design:
        """The design with what removes much of the error for little time: sums or attention of a transformer in float,
        factors for outlier channels, corrected biases, rescaled channels, other ranges, operators in float."""
        free = self.options.free
        options = switches_of(self.bench.plan(design), free)
        offered, rescale = smoothings(self.bench, self.options), self.options.repair and self.bench.rescalable
        if not options and not offered and not self.options.repair and not free:
            return design
        self._tell("int8 or float" if options or offered else "repairs" if self.options.repair else "calibrators")
        scout, log, errors, took, scaling = self._scout, self.steps.append, dict[Design, float](), 0.0, ""
        clock = Budget() if self.options.seconds is not None else Budget(clock=cpu_seconds)
        recipes = [
            design.with_recipe(**dict.fromkeys(some, "float")).recipe
            for count in range(len(options) + 1)
            for some in combinations(options, count)
        ]
        limit, begun = SECONDS if self.options.seconds is None else self.options.seconds, clock.clock()
        scout.expect(recipes)
        scout.prepared(design)  # This is done ahead so that the first error takes no longer than others.
        preparing = clock.clock() - begun

        def error(candidate: Design) -> float:
            nonlocal took, scaling
            if candidate not in errors:
                started = clock.clock()
                if scaling and candidate.scaling != scaling:
                    scout.forget_simulators(scaling)
                scaling = candidate.scaling
                errors[candidate] = scout.error(candidate)
                took = clock.clock() - started
            return errors[candidate]

        log(Attempt("as calibrated", error(design), None, True, design))
        beyond = max(0.0, clock.clock() - begun - limit)  # A first error that takes longer leaves less for the rest.
        limit = max(0.0, limit - beyond)
        if self.options.seconds is None and errors[design] > FAR:
            limit = seconds_far(clock.clock() - self._began)
        clock = self._clock = Budget(limit, clock.clock)

        def spent(seconds: float = 0.0) -> bool:
            left = clock.left  # The next error takes about as long as the last one, or so many seconds.
            return left is not None and left < max(took, seconds)

        seconds = self._seconds
        soon = soon_learnt(self.bench.model)
        if self.options.repair and soon:
            # They come first: a mean that is off by luck hides what everything else brings.
            design = choose_biases(design, error, log, spent=spent)
        design = choose_switches(design, options, error, seconds, log, spent=spent)
        if "residuals" in options:
            design = fewest_sums(design, scout, error, seconds, log, spent=spent)
        rebuilding = partial(spent, _REBUILDING * preparing)
        if offered:
            design = choose_smoothing(design, offered, error, seconds, log, spent=rebuilding)
        if rescale:
            design = choose_scaling(design, error, log, spent=rebuilding)
        design = choose_ranges(design, free, scout.plan, error, log, far=FAR, spent=spent)
        if _may_take_longer(self.options):
            few = clock.part(_RANKING)
            ranked = lambda found: rank(scout, found, scout.plan(found), None, Journal(), few, self._tell)  # noqa: E731
            design, self.ranking = choose_operators(design, ranked, error, seconds, log, spent=spent)
        if self.options.repair and not soon:
            # Here they are learnt once, and once more for the network that is compiled.
            design = choose_biases(design, error, log, spent=lambda: spent(_LEARNING * took))
        self._tell("calibrate")
        scout.forget_simulators()  # From here on its networks are estimated and compiled, not simulated.
        if not design.scaling:
            # The scout expected these recipes as well, so the machine code for them is there.
            self.bench.expect(recipes)
        return design

    def without_what_is_too_slow(self, package: Package) -> Design | None:
        """The chosen design without the last thing that was taken for its estimated time, where `package`, compiled
        from it, takes clearly longer beside the network as calibrated than all that was taken is worth. None where it
        does not, and where there is nothing to measure: little was taken, no CPU of the package is here, or the
        budget that the user gave is over."""
        kept = [step for step in self.steps if step.kept]
        dear = [step for step in kept if step.slower is not None]
        if not dear or self._seconds(kept[-1].design) < _ASKED * self._seconds(kept[0].design):
            return None
        variant = next((v for v in package.variants if v.backend.estimates and not detect.missing(v.features)), None)
        if variant is None:
            return None
        name = "all that was taken"
        if self.options.seconds is not None and self._clock.spent:
            self.steps.append(Attempt(f"{name}, measured: {LEFT_OUT}", None, None, False, kept[-1].design))
            return None
        self._tell("int8 or float: measured")
        ratio = measured_cost(self._scout.hub(kept[0].design), variant, self.options)
        over = ratio > _CLEARLY * prod(step.slower for step in dear if step.slower is not None)
        if over:
            behind = self.steps.index(dear[-1])
            self.steps[behind:] = [replace(step, kept=False) for step in self.steps[behind:]]
        shown = f"{name}, {ratio - 1:+.1%} of the time, measured"
        self.steps.append(Attempt(shown, None, None, not over, kept[-1].design))
        return next(step.design for step in reversed(self.steps) if step.kept) if over else None


def seconds_far(spent: float) -> float:
    """CPU seconds that trying may take where int8 is FAR from fp32. spent: CPU seconds of the compilation so far."""
    return max(SECONDS, SECONDS_FAR - spent)


def smoothings(bench: Bench, options: BuildOptions) -> tuple[str, ...]:
    """Ways to multiply outlier channels that may be tried; what the user keeps in int8 stays there."""
    if not _may_take_longer(options):
        return ()
    return tuple(name for name in bench.smoothings if name == "smooth" or not options.recipe.int8_layers)


def seconds_of(bench: Bench, options: BuildOptions) -> Callable[[Design], float]:
    """`estimated_seconds` of designs, each estimated once; what is learnt changes constants alone, and no time."""
    known = cache(partial(estimated_seconds, bench, options))
    return lambda design: known(replace(design, rounding=False, biases=False))


def estimated_seconds(bench: Bench, options: BuildOptions, design: Design) -> float:
    """The seconds of one run on one core of the first CPU target, by the cost model."""
    spec = next(spec for spec in resolve_targets(options.targets) if spec.backend.estimates)
    with unwatched():
        _, module = to_integers(bench.hub(design))
    return network_seconds(module, spec.dot, cost.seconds)


def _may_take_longer(options: BuildOptions) -> bool:
    """What costs time is for a policy that asks for it, where the cost model knows a target."""
    known = any(spec.backend.estimates for spec in resolve_targets(options.targets))
    return known and options.repair and options.policy == "fastest"
