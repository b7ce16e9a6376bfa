"""The paper's workflow, automatic (Wu et al., section 7): what is nearly free in float, the best calibrator, repairs, then the fewest layers in float.

Every choice is made by the output error on held-out calibration samples; whether the target holds is measured on the validation data with
the simulator and, for the design that is handed out, on the compiled module."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Protocol

from .bench import Bench
from .budget import Budget
from .design import SCALINGS, Design
from .journal import Journal
from .ranking import Ranked, rank
from .step import Step
from .switches import choose_switches, switches_of

CALIBRATIONS = (("mse", 99.99), ("max", 99.99), ("percentile", 99.9), ("percentile", 99.99), ("percentile", 99.999), ("percentile", 99.9999), ("entropy", 99.99))
_CALIBRATORS, _REPAIRING, _RANKING = 0.25, 0.4, 0.5  # of the budget that is left when each begins
_WORTH = 0.97  # a step is kept if it leaves at most this part of the squared error


class Judge(Protocol):
    """Accuracy on validation data. `drop`: relative loss of given outputs against fp32; `arrays`: the validation inputs; `losses`: per-sample
    losses for paired comparisons, or None where the metric has none."""

    arrays: dict

    def drop(self, outputs: dict) -> float: ...

    def losses(self, outputs: dict): ...


@dataclass
class Outcome:
    """design: the best one, drop: of its compiled module. met: whether the target holds. steps: in order. ranking: of the layers, most sensitive
    first; empty if it was not needed."""

    design: Design
    drop: float
    met: bool
    steps: list[Step] = field(default_factory=list)
    ranking: list[Ranked] = field(default_factory=list)


@dataclass
class Search:
    """bench: of the network. judge: of the validation data. target: the largest drop. confirm(design) -> drop of the compiled module, which
    saves the package if it is the best so far. most_float: largest part of the multiply-adds that may be left in float.
    tell(text, done, total): progress. free: options of the recipe that may change ("residuals", "attention"). seconds(design): of one run, estimated.

    No family of steps may use up the budget: calibrators and repairs have a part of what is left, the rest is for layers in float. A step whose predicted
    time is beyond its family's part is left out."""

    bench: Bench
    judge: Judge
    target: float
    confirm: Callable[[Design], float]
    budget: Budget = field(default_factory=Budget)
    journal: Journal = field(default_factory=Journal)
    most_float: float = 0.5
    repair: bool = True
    tell: Callable = lambda text, done=None, total=None: None
    free: tuple[str, ...] = ()
    seconds: Callable[[Design], float] = lambda design: 1.0

    def run(self, design: Design, calibrate: bool) -> Outcome:
        """From `design`; calibrate: whether its calibrator may be replaced where it misses the target ("auto": it must be)."""
        self.outcome = Outcome(design, float("inf"), False)
        if design.recipe.calibrator != "auto" and self._confirmed(design, "as calibrated"):
            return self.outcome
        if design.recipe.calibrator != "auto":
            design = self._switched(design)
        if not self.outcome.met and (calibrate or design.recipe.calibrator == "auto"):
            automatic = design.recipe.calibrator == "auto"
            chosen = choose_calibration(self.bench, design, self.journal, self.tell, self._log, self.budget.part(_CALIBRATORS))
            if chosen != design:
                self._confirmed(chosen, "best calibrators")
            design = self._switched(chosen) if automatic and not self.outcome.met else chosen
        if self.outcome.met:
            return self.outcome
        if self.repair:
            design = self._repaired(design)
        if not self.outcome.met and not self.budget.spent:
            self._partial(design)
        return self.outcome

    def _switched(self, design) -> Design:
        options = switches_of(self.bench.plan(design), self.free) if self.free and not self.budget.spent else ()
        chosen = choose_switches(design, options, self._error, self.seconds, self._log, good=0.0, spent=lambda: self.budget.spent) if options else design
        if chosen != design:
            self._confirmed(chosen, "with these in float")
        return chosen

    def _log(self, step):
        self.outcome.steps.append(step)

    def _confirmed(self, design, name) -> bool:
        """Compiles a design and keeps it if it is the best so far."""
        self.tell(f"compile: {name}")
        drop = self.journal.get(f"confirm {design.key}", lambda: self.confirm(design))
        self._log(Step(name, self._error(design), drop, drop < self.outcome.drop, design, compiled=True))
        if drop < self.outcome.drop:
            self.outcome.design, self.outcome.drop = design, drop
        if drop <= self.target:
            self.outcome.met = True
        return self.outcome.met

    def _error(self, design):
        return self.journal.get(f"error {design.key}", lambda: self.bench.error(design))

    def _drop(self, design):
        return self.journal.get(f"drop {design.key}", lambda: self.judge.drop(self.bench.outputs(design, self.judge.arrays)))

    def _repaired(self, design) -> Design:
        error, share, took = self._error(design), self.budget.part(_REPAIRING), 0.0
        for name, candidates in _REPAIRS:
            tried, several = [], candidates(design)
            for number, candidate in enumerate(several):
                if share.spent or (share.left is not None and took > share.left):
                    break
                self.tell(f"repair: {name}{f', about {took:.0f} s' if took >= 1 else ''}", number, len(several))
                began = monotonic()
                tried.append((self._error(candidate), number, candidate))
                took = monotonic() - began  # what the next is expected to take: each builds or learns anew
            if not tried:
                break
            best, _, chosen = min(tried)
            kept = best < error * _WORTH
            for found, _, candidate in tried:
                self._log(Step(_named(name, candidate), found, None, kept and candidate == chosen, candidate))
            if not kept:
                continue
            design, error = chosen, best
            if self._drop(design) <= self.target and self._confirmed(design, f"after {name}"):
                break
        return design

    def _partial(self, design):
        plan = self.bench.plan(design)
        ranking = self.outcome.ranking = rank(self.bench, design, plan, self.judge, self.journal, self.budget.part(_RANKING), self.tell)
        allowed = _within(ranking, self.most_float)
        if not allowed:
            return
        low, high, step = 0, None, 1
        while high is None and not self.budget.spent:  # 1, 2, 4, ... layers in float
            count = min(step, allowed)
            if self._prefix_holds(design, ranking, count):
                high = count
            elif count == allowed:
                break
            else:
                low, step = count, 2 * step
        if high is None:
            self._confirmed(_without(design, ranking[:allowed]), f"{allowed} operators in float")
            return
        while high - low > 1 and not self.budget.spent:
            middle = (low + high) // 2
            low, high = (low, middle) if self._prefix_holds(design, ranking, middle) else (middle, high)
        chosen = self._pruned(design, ranking[:high])
        while not self._confirmed(_without(design, chosen), f"{len(chosen)} operators in float") and not self.budget.spent:
            more = [layer for layer in ranking[:allowed] if layer not in chosen]
            if not more:
                return
            chosen = chosen + more[:1]

    def _prefix_holds(self, design, ranking, count):
        self.tell(f"partial quantization: {count} operators in float")
        return self._drop(_without(design, ranking[:count])) <= self.target

    def _pruned(self, design, chosen):
        """The chosen layers without those that turn out not to be needed, least sensitive first."""
        for number, layer in enumerate(reversed(chosen[:-1] if len(chosen) > 1 else [])):
            self.tell("partial quantization: which are not needed", number, len(chosen) - 1)
            fewer = [other for other in chosen if other != layer]
            if not self.budget.spent and fewer and self._drop(_without(design, fewer)) <= self.target:
                chosen = fewer
        return chosen


def choose_calibration(bench, design, journal, tell=lambda *a: None, log=lambda step: None, budget=Budget()) -> Design:
    """The design with the calibrator of least output error, then with other calibrators for single tensors where that helps. A budget that ends
    leaves out what was not tried yet."""
    def error(candidate):
        return journal.get(f"error {candidate.key}", lambda: bench.error(candidate))

    candidates = [design.with_recipe(calibrator=name, percentile=percentile, per_tensor=()) for name, percentile in CALIBRATIONS]
    tried = []
    for number, candidate in enumerate(candidates):
        if tried and budget.spent:
            break
        tell("calibrators", number, len(candidates))
        tried.append((error(candidate), number, candidate))
    best, _, chosen = min(tried)
    for found, _, candidate in tried:
        log(Step(f"calibrator {_calibrator(candidate.recipe)}", found, None, candidate == chosen, candidate))
    refined, least = _refined(bench, chosen, best, error, tell, budget)
    if refined != chosen:
        log(Step(f"calibrators of {len(refined.recipe.per_tensor)} tensors", least, None, True, refined))
    return refined


def _refined(bench, design, best, error, tell, budget):
    """Tensor by tensor, those whose own error is largest first: another calibrator where it lowers the error of the outputs."""
    tensors = [] if budget.spent else bench.tensors(design)[:_REFINED]
    for number, tensor in enumerate(tensors):
        tell("calibrators by tensor", number, len(tensors))
        for calibrator, percentile in (("max", 99.99), ("mse", 99.99), ("percentile", 99.99)):
            if budget.spent:
                return design, best
            if (calibrator, percentile) == (design.recipe.calibrator, design.recipe.percentile):
                continue
            others = tuple(entry for entry in design.recipe.per_tensor if entry[0] != tensor)
            candidate = design.with_recipe(per_tensor=(*others, (tensor, calibrator, percentile)))
            found = error(candidate)
            if found < best * _REFINED_WORTH:
                design, best = candidate, found
    return design, best


_REFINED, _REFINED_WORTH = 24, 0.98
_REPAIRS = (
    ("rescaled channels", lambda d: [replace(d, scaling=s) for s in SCALINGS if s and s != d.scaling]),
    ("corrected biases", lambda d: [replace(d, biases=True)]),
    ("learnt rounding", lambda d: [replace(d, rounding=True)]),
)


def _named(name, design):
    return f"{name} ({design.scaling})" if name == "rescaled channels" else name


def _calibrator(recipe):
    return f"percentile {recipe.percentile:g}" if recipe.calibrator == "percentile" else recipe.calibrator


def _without(design, layers):
    return design.with_recipe(float_operators=design.recipe.float_operators | {layer.name for layer in layers})


def _within(ranking, most_float):
    """How many of the first layers may be in float at once."""
    total, used = sum(layer.macs for layer in ranking), 0.0
    for count, layer in enumerate(ranking):
        used += layer.macs
        if used > most_float * max(total, 1):
            return count
    return len(ranking)
