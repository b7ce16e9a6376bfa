"""The automatic accuracy workflow of compile-model: from the samples to the best package within the target, saved
whenever it gets better."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import combinations

from ...passes.frontend.model import Model
from ...passes.pipeline import canonicalize, to_integers
from ...passes.policy.estimate import network_seconds
from ...passes.running import unwatched
from ...passes.sensitivity.attempt import Attempt
from ...passes.sensitivity.bench import Bench
from ...passes.sensitivity.budget import Budget, cpu_seconds
from ...passes.sensitivity.choices.choose_calibration import choose_calibration, choose_ranges
from ...passes.sensitivity.choices.choose_operators import choose_operators
from ...passes.sensitivity.choices.fewest_sums import fewest_sums
from ...passes.sensitivity.choices.switches import FAR, choose_smoothing, choose_switches, switches_of
from ...passes.sensitivity.design import Design
from ...passes.sensitivity.journal import Journal
from ...passes.sensitivity.learnt_files import LearntFiles
from ...passes.sensitivity.ranking import Ranked, rank
from ...passes.sensitivity.rescaling import choose_scaling
from ...passes.sensitivity.search import Search, SearchOutcome
from ...targets.batches import run_samples
from ...targets.package import Package
from ...targets.samples import digest_of
from ...targets.stored_array import Array
from ...targets.x86 import cost
from ..reporter import Reporter
from .judge import MetricJudge
from .options import BuildOptions
from .packages import build_package, resolve_targets
from .statistics import measuring

_VERSION = "3"  # of what a state file means
# Seconds of CPU time that may go into what is tried without an accuracy target, beside the calibration and the first
# error; and of a network that is FAR from fp32
CHOICES, CHOICES_FAR = 40.0, 120.0
_RANKING = 0.5  # of what is left of them


@dataclass
class Workflow:
    """Compiles designs and keeps the best. save(package): writes it. state: path of the journal, None keeps none.
    canonical: the network in canonical form, if somebody has it."""

    model: Model
    samples: Mapping[str, Array]
    options: BuildOptions
    reporter: Reporter
    save: Callable[[Package], object] = lambda package: None
    state: str | None = None
    canonical: Model | None = None
    apart: bool = False  # whether a part of the held-out samples stays untouched by what is chosen
    steps: list = field(default_factory=list)
    compiled: dict = field(default_factory=dict)  # Design -> (Quantized, Package)
    clock: Budget = field(default_factory=Budget)
    stage: str | None = None  # the phase that runs
    resumed: int = 0  # measurements of an earlier search that were used again
    ranking: list[Ranked] = field(default_factory=list)  # without an accuracy target, where int8 was far from fp32
    outcome: SearchOutcome | None = None  # of the search, once it has ended

    def __post_init__(self):
        self.bench = Bench(
            self.canonical or canonicalize(self.model),
            self.samples,
            threads=self.options.threads,
            progress=self.reporter.progress,
            measure=measuring(self.options.cache),
            outputs=self.options.outputs,
            apart=self.apart,
        )

    def calibrated(self) -> tuple:
        """(hub, package) of the best calibrators; no accuracy target."""
        self._tell("calibrate")
        design = Design(self.options.recipe)
        if self.options.recipe.calibrator == "auto":
            design = choose_calibration(self.bench, design, Journal(), self._tell, self.steps.append)
        design = self._chosen(design)
        return design, *self.compile(design)

    def _chosen(self, design) -> Design:
        """With what is nearly free where it removes much of the error: sums or attention of a transformer in float,
        rescaled channels."""
        free = self.options.free
        options = switches_of(self.bench.plan(design), free)
        smoothings, rescale = self._smoothings(), self.options.repair and self.bench.rescalable
        if not options and not smoothings and not rescale and not free:
            return design
        self._tell("int8 or float" if options or smoothings else "rescaled channels" if rescale else "calibrators")
        scout, errors, took, scaling = self.bench.scout(), {}, 0.0, ""
        clock = Budget() if self.options.seconds is not None else Budget(clock=cpu_seconds)
        recipes = [
            design.with_recipe(**dict.fromkeys(some, "float")).recipe
            for count in range(len(options) + 1)
            for some in combinations(options, count)
        ]
        limit, begun = CHOICES if self.options.seconds is None else self.options.seconds, clock.clock()
        scout.expect(recipes)
        scout.prepared(design)  # so that the first error takes no longer than others
        preparing = clock.clock() - begun

        def error(candidate):
            nonlocal took, scaling
            if candidate not in errors:
                started = clock.clock()
                if scaling and candidate.scaling != scaling:
                    scout.forget_simulator(scaling)
                scaling = candidate.scaling
                errors[candidate] = scout.error(candidate)
                took = clock.clock() - started
            return errors[candidate]

        self.steps.append(Attempt("as calibrated", error(design), None, True, design))
        if self.options.seconds is None and errors[design] > FAR:
            limit = CHOICES_FAR
        beyond = max(0.0, clock.clock() - begun - limit)  # a first error that takes longer leaves less for the rest
        clock = Budget(max(0.0, limit - beyond), clock.clock)

        def spent():
            return clock.left < took  # the next one takes about as long as the last one

        seconds = cache(partial(self._seconds, scout))
        design = choose_switches(design, options, error, seconds, self.steps.append, spent=spent)
        if "residuals" in options:
            design = fewest_sums(design, scout, error, seconds, self.steps.append, spent=spent)
        took = max(
            took, 2 * preparing
        )  # a rescaled network is another one to build, behind a run that measures the channels of this one
        design = (
            choose_smoothing(design, smoothings, error, seconds, self.steps.append, spent=spent)
            if smoothings
            else design
        )
        design = choose_scaling(design, error, self.steps.append, spent=spent) if rescale else design
        design = choose_ranges(design, free, scout.plan, error, self.steps.append, far=FAR, spent=spent)
        if self._may_take_longer():
            few = clock.part(_RANKING)
            ranked = lambda chosen: rank(scout, chosen, scout.plan(chosen), None, Journal(), few, self._tell)  # noqa: E731
            design, self.ranking = choose_operators(design, ranked, error, seconds, self.steps.append, spent=spent)
        self._tell("calibrate")
        if not design.scaling:
            self.bench.expect(recipes)  # as the scout did, so the machine code for that is there
        return design

    def _may_take_longer(self) -> bool:
        """What costs time is for a policy that asks for it, where the cost model knows a target."""
        known = any(spec.backend.estimates for spec in resolve_targets(self.options.targets))
        return known and self.options.repair and self.options.policy == "fastest"

    def _smoothings(self) -> tuple[str, ...]:
        """Those that may be tried; what the user keeps in int8 stays there."""
        if not self._may_take_longer():
            return ()
        return tuple(name for name in self.bench.smoothings if name == "smooth" or not self.options.recipe.int8_layers)

    def _seconds(self, bench, design) -> float:
        """Of one run on one core of the first CPU target, by the cost model."""
        spec = next(spec for spec in resolve_targets(self.options.targets) if spec.backend.estimates)
        with unwatched():
            _, module = to_integers(bench.hub(design))
        return network_seconds(module, spec.dot, cost.seconds)

    def search(self, judge: MetricJudge, target: float, most_float: float, calibrate: bool) -> SearchOutcome:
        """The whole workflow, within `clock`. The journal is removed when it came to an end by itself."""
        journal = Journal(self.state, self._identity(judge))
        self.bench.learnt_files = LearntFiles(self.state, journal.identity)
        confirmed = [drop for key, drop in journal.found.items() if key.startswith("confirm ")]
        self.judge, self.best = judge, min(confirmed, default=float("inf"))  # that one is on disk
        search = Search(
            self.bench,
            judge,
            target,
            self._confirm,
            self.clock,
            journal,
            most_float,
            self.options.repair,
            self._tell,
            self.options.free,
            cache(partial(self._seconds, self.bench)),
            self._smoothings(),
        )
        self._tell("calibrate")
        outcome = search.run(Design(self.options.recipe), calibrate)
        self.resumed = journal.reused
        self.compile(outcome.design)  # also where a resumed search found all its measurements in the journal
        if outcome.met or not self.clock.spent:
            journal.remove()
            self.bench.learnt_files.remove()
        return outcome

    def compile(self, design: Design) -> tuple:
        """(hub, package); the last ones are kept."""
        if design not in self.compiled:
            quantized = self.bench.hub(design)
            self.compiled = {design: build_package(quantized, self.options, self.reporter)}
            self.stage = None
        return self.compiled[design]

    def _confirm(self, design) -> float:
        _, package = self.compile(design)
        self._tell("confirm on the compiled module")
        outputs = run_samples(package.shapes[0].session(self.options.threads), self.judge.arrays)
        drop = self.judge.drop(outputs)
        if drop < self.best:
            self.best = drop
            self.save(package)
        return drop

    def _tell(self, text, done=None, total=None):
        """text: "stage" or "stage: detail"; every stage is a phase of its own in the report."""
        stage = text.partition(":")[0]
        if stage == "compile":
            return  # its phases are the compiler's
        if stage != self.stage:
            self.stage = stage
            self.reporter.phase(stage)
        left = self.clock.left
        self.reporter.message(text if left is None else f"{text} (budget left {left:.0f} s)")
        if total is not None:
            self.reporter.progress(done, total)

    def _identity(self, judge) -> str:
        """Of everything that a measurement depends on."""
        model, scoring = (
            f"{self.model.sha256} {self.model.batch}",
            f"{judge.scoring.metric.name} {judge.scoring.outputs}",
        )
        asked = f"{Design(self.options.recipe).key} {list(self.options.targets)}"
        digest = hashlib.sha256(f"{_VERSION} {model} {scoring} {asked}".encode())
        for arrays in (self.samples, judge.arrays, judge.scoring.references, judge.scoring.data):
            for name, array in arrays.items():
                digest.update(f"{name} {digest_of(array)}".encode())
        return digest.hexdigest()


def automatic(request, workflow: Workflow, validation) -> tuple:
    """(hub, package, what the report says of it). validation: (arrays, Scoring) or None."""
    if request.max_drop is None:
        design, quantized, package = workflow.calibrated()
        workflow.outcome = SearchOutcome(design, float("nan"), True, workflow.steps, workflow.ranking)
        return quantized, package, {"workflow": described(workflow.outcome)}
    arrays, scoring = validation
    clock = workflow.clock = Budget(workflow.options.seconds)
    workflow.reporter.phase("fp32 reference")
    began = clock.clock()
    exact = workflow.bench.float_outputs(arrays)
    clock.reserve(2 * (clock.clock() - began))  # fp32 and int8 are validated when the search has ended
    scoring = scoring.completed(exact)
    judge = MetricJudge(arrays, scoring, scoring.scores(exact))
    calibrate = request.calibrator in (None, "auto")
    workflow.outcome = workflow.search(judge, request.max_drop, request.max_float, calibrate)
    quantized, package = workflow.compile(workflow.outcome.design)
    return (
        quantized,
        package,
        {"workflow": described(workflow.outcome) | {"resumed": workflow.resumed, "budget_spent": workflow.clock.spent}},
    )


def described(outcome: SearchOutcome) -> dict:
    """The workflow's report, as JSON."""
    total = sum(layer.macs for layer in outcome.ranking)
    left = outcome.design.recipe.float_operators
    return {
        "met": outcome.met,
        "drop": outcome.drop,
        "steps": [
            {"name": s.name, "sqnr_db": s.sqnr, "drop": s.drop, "compiled": s.compiled, "kept": s.kept}
            for s in outcome.steps
        ],
        "design": outcome.design.as_dict(),
        "float_operators": sorted(left),
        "float_macs_fraction": sum(layer.macs for layer in outcome.ranking if layer.name in left) / total
        if total
        else 0.0,
        "sensitivity": [
            {"name": r.name, "operator": r.op, "error": r.error, "lost": r.lost, "macs": r.macs}
            for r in outcome.ranking
        ],
    }
