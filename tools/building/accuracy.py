"""The automatic accuracy workflow of compile-model: from the samples to the best package within the target, saved
whenever it gets better."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ...passes.frontend.model import Model
from ...passes.pipeline import canonicalize
from ...passes.sensitivity.bench import Bench
from ...passes.sensitivity.budget import Budget, cpu_seconds
from ...passes.sensitivity.choices.choose_calibration import choose_calibration
from ...passes.sensitivity.design import Design
from ...passes.sensitivity.journal import Journal
from ...passes.sensitivity.learnt_files import LearntFiles
from ...passes.sensitivity.ranking import Ranked
from ...passes.sensitivity.search import Search, SearchOutcome
from ...targets.batches import run_samples
from ...targets.package import Package
from ...targets.samples import digest_of
from ...targets.stored_array import Array
from ..reporter import Reporter
from .calibration import measuring
from .choices import Choices, seconds_of, smoothings
from .judge import MetricJudge
from .options import BuildOptions
from .packages import build_package

# What follows a search may take this part of a budget: fp32 is built, both are timed, the package is written.
_BEHIND = 0.1
_VERSION = "4"  # State files of another version mean something else, and no search goes on from them.


@dataclass
class Workflow:
    """Compiles designs and keeps the best. save(package): writes it. state: path of the journal, None keeps none.
    canonical: the network in canonical form, if somebody has it. began: CPU seconds (`cpu_seconds`) when the
    compilation began."""

    model: Model
    samples: Mapping[str, Array]
    options: BuildOptions
    reporter: Reporter
    save: Callable[[Package], object] = lambda package: None
    state: str | None = None
    canonical: Model | None = None
    began: float = field(default_factory=cpu_seconds)
    apart: bool = False  # It says whether a part of the held-out samples stays untouched by what is chosen.
    steps: list = field(default_factory=list)
    compiled: dict = field(default_factory=dict)  # It maps a Design to its (Quantized, Package).
    clock: Budget = field(default_factory=Budget)
    stage: str | None = None  # This phase runs now.
    resumed: int = 0  # So many measurements of an earlier search were used again.
    # Without an accuracy target it is filled where int8 was far from fp32.
    ranking: list[Ranked] = field(default_factory=list)
    outcome: SearchOutcome | None = None  # It is None until the search has ended.

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
        """Chooses calibrators without an accuracy target and compiles the best.

        (hub, package) of the best calibrators; no accuracy target."""
        self._tell("calibrate")
        design = Design(self.options.recipe)
        if self.options.recipe.calibrator == "auto":
            design = choose_calibration(self.bench, design, Journal(), self._tell, self.steps.append)
        choices = Choices(self.bench, self.options, self._tell, self.steps, self.began)
        design = choices.chosen(design)
        self.ranking = choices.ranking
        while (cheaper := choices.without_what_is_too_slow(self.compile(design)[1])) is not None:
            design = cheaper
        return design, *self.compile(design)

    def search(self, judge: MetricJudge, target: float, most_float: float, calibrate: bool) -> SearchOutcome:
        """The whole workflow, within `clock`. The journal is removed when it came to an end by itself."""
        journal = Journal(self.state, self._identity(judge))
        self.bench.learnt_files = LearntFiles(self.state, journal.identity)
        confirmed = [drop for key, drop in journal.found.items() if key.startswith("confirm ")]
        # The package with the least confirmed drop is on disk.
        self.judge, self.best = judge, min(confirmed, default=float("inf"))
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
            seconds_of(self.bench, self.options),
            smoothings(self.bench, self.options),
        )
        self._tell("calibrate")
        outcome = search.run(Design(self.options.recipe), calibrate)
        self.resumed = journal.reused
        # A resumed search that found all its measurements in the journal has compiled nothing yet.
        self.compile(outcome.design)
        if outcome.met or not self.clock.spent:
            journal.remove()
            self.bench.learnt_files.remove()
        return outcome

    def compile(self, design: Design) -> tuple:
        """Compiles a design, or gives what is kept of it.

        (hub, package); the last ones are kept."""
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
            return  # The phases of compiling are the compiler's to tell.
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
    """Compiles what the automatic workflow finds.

    (hub, package, what the report says of it). validation: (arrays, Scoring) or None."""
    if request.max_drop is None:
        design, quantized, package = workflow.calibrated()
        workflow.outcome = SearchOutcome(design, float("nan"), True, workflow.steps, workflow.ranking)
        return quantized, package, {"workflow": workflow_report(workflow.outcome)}
    arrays, scoring = validation
    clock = workflow.clock = Budget(workflow.options.seconds)
    clock.reserve(_BEHIND * (workflow.options.seconds or 0))
    workflow.reporter.phase("fp32 reference")
    began = clock.clock()
    exact = workflow.bench.float_outputs(arrays)
    clock.reserve(2 * (clock.clock() - began))  # Both fp32 and int8 are validated when the search has ended.
    scoring = scoring.completed(exact)
    judge = MetricJudge(arrays, scoring, scoring.scores(exact))
    calibrate = request.calibrator in (None, "auto")
    workflow.outcome = workflow.search(judge, request.max_drop, request.max_float, calibrate)
    quantized, package = workflow.compile(workflow.outcome.design)
    return (
        quantized,
        package,
        {
            "workflow": workflow_report(workflow.outcome)
            | {"resumed": workflow.resumed, "budget_spent": workflow.clock.spent}
        },
    )


def workflow_report(outcome: SearchOutcome) -> dict:
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
