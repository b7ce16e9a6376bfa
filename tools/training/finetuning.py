"""Fine-tuning from the samples to the tuned network: the best calibration, its ranges then fixed, training, and the
file."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ...passes.annotate.recipe import Recipe
from ...passes.calibrate.cache import StatisticsCache
from ...passes.calibrate.given_quantizers import given_hub
from ...passes.calibrate.quantize import Quantized
from ...passes.frontend.model import Model
from ...passes.pipeline import canonicalize
from ...passes.sensitivity.bench import Bench
from ...passes.sensitivity.choices.choose_calibration import choose_calibration
from ...passes.sensitivity.design import Design
from ...passes.sensitivity.journal import Journal
from ...targets.samples import digest_of
from ...targets.stored_array import Array, select
from ..building.calibration import measuring
from ..reporter import Reporter
from .course import Course
from .trained_network import export_trained

_VERSION = "3"  # State files of another version mean something else, and no training goes on from them.


@dataclass
class Finetuning:
    """The whole of `octet finetune`: it calibrates a network, then trains it.

    model: as imported. calib: samples of the calibration, None for a network that comes quantised. recipe:
    calibrator "auto" chooses by measurement.
    cache: StatisticsCache or None."""

    model: Model
    calib: Mapping[str, Array] | None
    recipe: Recipe
    course: Course
    reporter: Reporter
    cache: StatisticsCache | None = None

    def run(self, output: str) -> dict:
        """Writes the tuned network; what became of it, for people and JSON. Raises UnsupportedModelError for operators
        without a form in PyTorch."""
        calibrated, lessons, state = self._calibrated(), self.course.lessons, f"{output}.state"
        taken = self.course.take(calibrated, state, self._identity(), self._tell, self.reporter.phase)
        self.reporter.phase("write")
        export_trained(
            taken.quantized,
            taken.network,
            output,
            {name: select(array, slice(0, 8)) for name, array in lessons.held.items()},
        )
        Path(state).unlink(missing_ok=True)
        return {
            "fp32": taken.fp32,
            "calibrated": taken.calibrated,
            "tuned": taken.tuned,
            "metric": lessons.scoring.metric.name,
            "samples": len(next(iter(lessons.held.values()))),
            "train_samples": len(next(iter(lessons.train.values()))),
            "variants": self.course.variants,
            "calibrated_drop": taken.first[0],
            "calibrated_error": taken.first[1],
            "best_epoch": taken.state.best,
            "resumed_at": taken.resumed,
            "recipe": _plain(calibrated.recipe),
            "epochs": [
                {"loss": epoch.loss, "drop": epoch.score[0], "error": epoch.score[1]} for epoch in taken.state.epochs
            ],
        }

    def _calibrated(self) -> Quantized:
        self.reporter.phase("canonicalize")
        canonical = canonicalize(self.model)
        if self.model.comes_quantised:
            return given_hub(canonical)
        self.reporter.phase("calibrate")
        assert self.calib is not None, "a network that does not come quantised has calibration samples"
        bench = Bench(
            canonical,
            self.calib,
            threads=self.course.threads,
            progress=self.reporter.progress,
            measure=measuring(self.cache),
        )
        design = Design(self.recipe)
        if self.recipe.calibrator == "auto":
            design = choose_calibration(
                bench, design, Journal(), lambda text, done=None, total=None: self.reporter.message(text)
            )
        return bench.hub(design)

    def _tell(self, done, total, text):
        self.reporter.message(f"train: {text}")
        self.reporter.progress(done, total)

    def _identity(self) -> str:
        """Of everything that the training depends on."""
        calib = [f"{name} {digest_of(array)}" for name, array in (self.calib or {}).items()]
        said = (_VERSION, self.model.sha256, self.model.batch, Design(self.recipe).key, *calib, *self.course.said())
        return hashlib.sha256(repr(said).encode()).hexdigest()


def _plain(recipe):
    said = asdict(recipe)
    return said | {"float_operators": sorted(said["float_operators"])}
