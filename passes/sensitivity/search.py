"""The paper's workflow, automatic (Wu et al., section 7): what is nearly free in float, the best calibrator, repairs,
then the fewest layers in float.

Every choice is made by the output error on held-out calibration samples; whether the target holds is measured on the
validation data with the simulator and, for the design that is handed out, on the compiled module."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from .accuracy_judge import Judge
from .attempt import Attempt
from .bench import Bench
from .budget import Budget
from .choices.choose_calibration import OTHERS, TENSORS, choose_calibration, refined_by_tensor
from .choices.fewest_layers import fewest_layers, guessed
from .choices.ranges import ranges_of
from .choices.switches import choose_smoothing, choose_switches, switches_of
from .design import Design
from .improvement import Pace, improvements, next_of
from .journal import Journal
from .ranking import Ranked, first_within, rank

if TYPE_CHECKING:
    from .improvement import Improvement


_CALIBRATING, _IMPROVING, _RANKING = 0.25, 0.5, 0.5  # Each may take this part of the budget left at its beginning.
# Where the compiled network misses what held simulated, so many layers are added singly, then several at once.
_ONE_BY_ONE = 4
# Until one was measured by itself, an error is expected to take this part of what the first took with its build.
_SHARE_OF_BUILD = 10


@dataclass
class SearchOutcome:
    """What a search found. design: the best one, drop: of its compiled module. met: whether the target holds. steps: in
    order. ranking: of the layers, most sensitive first; empty if it was not needed."""

    design: Design
    drop: float
    met: bool
    steps: list[Attempt] = field(default_factory=list)
    ranking: list[Ranked] = field(default_factory=list)


@dataclass
class Search:
    """A search for a design that meets an accuracy target. bench: of the network. judge: of the validation
    data. target: the largest drop. confirm(design) -> drop of the compiled module, which saves the package if it is the
    best so far. most_float: largest part of the multiply-adds that may be left in float. tell(text, done, total):
    progress. free: options of the recipe that may change ("residuals", "attention"). seconds(design): of one run,
    estimated. smoothings: scalings that cost time and may be tried.

    No kind of step may use up the budget: what improves int8 has a part of what is left, the rest is for layers in
    float. A step whose expected time is beyond that part is left out, and listed so."""

    bench: Bench
    judge: Judge
    target: float
    confirm: Callable[[Design], float]
    budget: Budget = field(default_factory=Budget)
    journal: Journal = field(default_factory=Journal)
    most_float: float = 0.5
    repair: bool = True
    tell: Callable[..., None] = lambda text, done=None, total=None: None
    free: tuple[str, ...] = ()
    seconds: Callable[[Design], float] = lambda design: 1.0
    smoothings: tuple[str, ...] = ()

    def run(self, design: Design, calibrate: bool) -> SearchOutcome:
        """Searches, beginning with `design`. calibrate: whether its calibrator may be replaced where it misses the
        target ("auto": it must be)."""
        self.outcome, self.pace = SearchOutcome(design, float("inf"), False), Pace(few=self._part_of_few())
        automatic = design.recipe.calibrator == "auto"
        if automatic:
            design = choose_calibration(
                self.bench, design, self.journal, self.tell, self._log, self.budget.part(_CALIBRATING)
            )
        if self._confirmed(design, "best calibrators" if automatic else "as calibrated"):
            return self.outcome
        design = self._switched(design)
        if not self.outcome.met:
            design = self._improved(
                design,
                improvements(
                    self._ranges(calibrate and not automatic),
                    calibrate and not automatic,
                    self.repair,
                    self.repair and self.bench.rescalable,
                ),
            )
        if not self.outcome.met and not self.budget.spent:
            self._partial(design)
        return self.outcome

    def _part_of_few(self) -> float:
        some, held = (
            len(next(iter(arrays.values()))) for arrays in (self.bench.some(TENSORS * len(OTHERS)), self.bench.held)
        )
        return some / held

    def _ranges(self, calibrate: bool) -> "Callable[[Design], list[tuple[str, Design]]] | None":
        free = {"activations", "softmax"} & {*self.free} | ({"calibrator"} if calibrate else set())
        return partial(ranges_of, free=free, plan=self.bench.plan) if free else None

    def _switched(self, design: Design) -> Design:
        options = switches_of(self.bench.plan(design), self.free) if self.free and not self.budget.spent else ()
        chosen = (
            choose_switches(
                design, options, self._error, self.seconds, self._log, good=0.0, spent=lambda: self.budget.spent
            )
            if options
            else design
        )
        chosen = (
            choose_smoothing(
                chosen, self.smoothings, self._error, self.seconds, self._log, good=0.0, spent=lambda: self.budget.spent
            )
            if self.smoothings
            else chosen
        )
        if chosen != design:
            self._confirmed(chosen, "with these in float")
        return chosen

    def _log(self, step: Attempt) -> None:
        self.outcome.steps.append(step)

    def _confirmed(self, design: Design, name: str) -> bool:
        """Compiles a design and keeps it if it is the best so far."""
        self.tell(f"compile: {name}")
        began = monotonic()
        drop = self.journal.get(f"confirm {design.key}", lambda: self.confirm(design))
        if not any(step.compiled for step in self.outcome.steps):
            self.budget.reserve(monotonic() - began)  # The last step of a search compiles what it found.
        self._log(Attempt(name, self._error(design), drop, drop < self.outcome.drop, design, compiled=True))
        if drop < self.outcome.drop:
            self.outcome.design, self.outcome.drop = design, drop
        if drop <= self.target:
            self.outcome.met = True
        return self.outcome.met

    def _error(self, design: Design) -> float:
        began, known, built = monotonic(), len(self.journal.found), self.bench.built
        error = self.journal.get(f"error {design.key}", lambda: self.bench.error(design))
        if len(self.journal.found) > known:  # The error was measured anew.
            took = monotonic() - began
            if self.bench.built > built or not self.pace.build:
                self.pace.build, self.pace.error = took, self.pace.error or took / _SHARE_OF_BUILD
            else:
                self.pace.error = took
        return error

    def _drop(self, design: Design) -> float:
        return self.journal.get(
            f"drop {design.key}", lambda: self.judge.drop(self.bench.outputs(design, self.judge.arrays))
        )

    def _improved(self, design: Design, left: "list[Improvement]") -> Design:
        """Better without a layer in float: one improvement after the other, in the order of what each may gain per
        second."""
        share = self.budget.part(_IMPROVING)
        while left and not self.outcome.met and not share.spent:
            chosen = next_of(left, self.pace)
            left = [one for one in left if one is not chosen]
            about = chosen.seconds(self.pace)
            if share.left is not None and about > share.left:
                self._log(
                    Attempt(
                        f"{chosen.name}: left out, about {about:.0f} s where {share.left:.0f} s are left for it",
                        None,
                        None,
                        False,
                        design,
                    )
                )
                continue
            self.tell(f"{chosen.name}: about {about:.0f} s")
            better = (
                self._by_tensor(design, share) if chosen.candidates is None else self._best_of(chosen, design, share)
            )
            if better != design and self._drop(better) <= self.target:
                self._confirmed(better, f"after {chosen.name}")
            design = better
        if not self.outcome.met and design != self.outcome.design:
            # The best without layers in float is on disk, whatever the rest of the budget brings.
            self._confirmed(design, "repaired")
        return design

    def _best_of(self, improvement: "Improvement", design: Design, share: Budget) -> Design:
        assert improvement.candidates is not None
        error, several = self._error(design), improvement.candidates(design)
        tried: list[Any] = []
        for number, (name, candidate) in enumerate(several):
            if share.spent or (
                tried and improvement.builds and share.left is not None and self.pace.build > share.left
            ):
                break
            self.tell(
                f"{improvement.name}: about {self.pace.build if improvement.builds else self.pace.error:.0f} s each",
                number,
                len(several),
            )
            tried.append((self._error(candidate), number, name, candidate))
        if not tried:
            return design
        least, _, _, best = min(tried)
        kept = least < error * improvement.worth
        for found, _, name, candidate in tried:
            self._log(Attempt(name, found, None, kept and candidate == best, candidate))
        return best if kept else design

    def _by_tensor(self, design: Design, share: Budget) -> Design:
        refined = refined_by_tensor(self.bench, design, self._error, self.journal, self.tell, share)
        if refined != design:
            name = f"calibrators of {len(refined.recipe.per_tensor)} tensors"
            self._log(Attempt(name, self._error(refined), None, True, refined))
        return refined

    def _partial(self, design: Design) -> None:
        plan = self.bench.plan(design)
        ranking = self.outcome.ranking = rank(
            self.bench, design, plan, self.judge, self.journal, self.budget.part(_RANKING), self.tell
        )
        allowed = first_within(ranking, self.most_float)
        if not allowed:
            return
        error = self._rough_error(design, allowed)
        chosen = fewest_layers(
            ranking[:allowed],
            lambda layers: self._drop(_without(design, layers)) <= self.target,
            self.tell,
            lambda: self.budget.spent,
            self._guess(design, ranking[:allowed], error),
            error,
        )
        if chosen is None:
            self._confirmed(_without(design, ranking[:allowed]), f"{allowed} operators in float")
            return
        tries = 0
        while (
            not self._confirmed(_without(design, chosen), f"{len(chosen)} operators in float") and not self.budget.spent
        ):
            more = [layer for layer in ranking[:allowed] if layer not in chosen]
            if not more:
                return
            tries += 1
            chosen = chosen + more[: 2 ** max(0, tries - _ONE_BY_ONE)]  # Each try compiles another network.

    def _rough_error(self, design: Design, layers_in_all: int) -> Callable[[list[Ranked]], float]:
        """Of few samples: what they take is little beside a validation. layers_in_all: that may be in float."""
        some = self.bench.some(4 * layers_in_all.bit_length())

        def error(layers: list[Ranked]) -> float:
            fewer = _without(design, layers)
            return self.journal.get(f"guess {fewer.key}", lambda: self.bench.error(fewer, some))

        return error

    def _guess(self, design: Design, ranking: list[Ranked], error: Callable[[list[Ranked]], float]) -> int:
        """How many of these layers may meet the target, if losses fall as squared errors do."""
        # The journal has this drop, as the design is the best in int8.
        loss = self.journal.get(f"confirm {design.key}", lambda: self.confirm(design))
        if not 0 < self.target < loss:
            return 1
        self.tell(f"partial quantization: how many of {len(ranking)} operators it may take")
        return guessed(ranking, error, error([]) * self.target / loss)


def _without(design: Design, layers: list[Ranked]) -> Design:
    return design.with_recipe(float_operators=design.recipe.float_operators | {layer.name for layer in layers})
