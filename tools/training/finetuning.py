"""Fine-tuning from the samples to the tuned network: the best calibration, its ranges then fixed, training, and the file."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from ...passes.annotate.recipe import Recipe
from ...passes.calibrate.given import given_hub
from ...passes.calibrate.quantize import Quantized
from ...passes.pipeline import canonicalize
from ...passes.sensitivity.bench import Bench
from ...passes.sensitivity.design import Design
from ...passes.sensitivity.journal import Journal
from ...passes.sensitivity.output_error import relative_error
from ...passes.sensitivity.search import choose_calibration
from ...targets.runtime import run_samples
from ...targets.samples import digest_of
from ...targets.stored_array import select
from ..building.sessions import float_session
from ..building.statistics import measuring
from .fit import Fit, Schedule
from .lessons import Lessons
from .network import Network
from .objective import Objective
from .samples import answers
from .tuned import export, network_of

_VERSION = "1"  # of what a state file means
_AT_ONCE = 64  # samples that are judged together


@dataclass
class Finetuning:
    """model: as imported. calib: samples of the calibration, None for a network that comes quantised. recipe: calibrator "auto" chooses by measurement.
    lessons: what the samples teach, and which judge. distill: see Objective. device: "cpu" or "cuda".
    phase, display: of the command; cache: StatisticsCache or None."""

    model: object
    calib: Mapping[str, np.ndarray] | None
    recipe: Recipe
    lessons: Lessons
    schedule: Schedule
    distill: float
    threads: int | None
    device: str
    phase: object
    display: object
    cache: object = None

    def run(self, output: str) -> dict:
        """Writes the tuned network; what became of it, for people and JSON. Raises UnsupportedModelError for operators without a form in PyTorch."""
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        quantized = self._calibrated()
        network = network_of(quantized)
        self.phase("fp32 reference")
        session = float_session(quantized.model, self.threads)
        arrays, lessons = self.lessons.held, self.lessons
        teacher, exact = (run_samples(session, each) for each in (lessons.train, arrays))
        scoring = lessons.scoring.completed(exact)
        before = scoring.scores(exact)

        def judged(each: Network):
            found = answers(each, quantized.model, arrays, _AT_ONCE, self.device)
            return scoring.drop(before, scoring.scores(found)), relative_error(exact, found)

        objective = Objective(quantized.model, teacher, lessons.classes, lessons.labels, self.distill)
        calibrated = scoring.scores(answers(network, quantized.model, arrays, _AT_ONCE))
        fit = Fit(network, objective, lessons.train, self.schedule, judged, f"{output}.state", self._identity(), self._tell, self.device)
        self.phase("train")
        state = fit.run()
        self.phase("write")
        found = answers(network.cpu(), quantized.model, arrays, _AT_ONCE)
        export(quantized, network, output, {name: select(array, slice(0, 8)) for name, array in arrays.items()})
        Path(fit.path).unlink(missing_ok=True)
        return {
            "fp32": before, "calibrated": calibrated, "tuned": scoring.scores(found), "metric": scoring.metric.name, "samples": len(next(iter(arrays.values()))),
            "train_samples": len(next(iter(lessons.train.values()))), "best_epoch": state.best, "resumed_at": fit.resumed, "recipe": _plain(quantized.recipe),
            "epochs": [{"loss": epoch.loss, "drop": epoch.score[0], "error": epoch.score[1]} for epoch in state.epochs],
        }  # fmt: skip

    def _calibrated(self) -> Quantized:
        self.phase("canonicalize")
        canonical = canonicalize(self.model)
        if self.model.comes_quantised:
            return given_hub(canonical)
        self.phase("calibrate")
        bench = Bench(canonical, self.calib, threads=self.threads, progress=self.display.update, measure=measuring(self.cache))
        design = Design(self.recipe)
        if self.recipe.calibrator == "auto":
            design = choose_calibration(bench, design, Journal(), lambda text, done=None, total=None: self.display.describe(text))
        return bench.hub(design)

    def _tell(self, done, total, text):
        self.display.describe(f"train: {text}")
        self.display.update(done, total)

    def _identity(self) -> str:
        """Of everything that the training depends on."""
        lessons = self.lessons
        said = (_VERSION, self.model.sha256, self.model.batch, Design(self.recipe).key, asdict(self.schedule), self.distill, lessons.scoring.metric.name, sorted(lessons.classes))
        digest = hashlib.sha256(repr(said).encode())
        for arrays in (self.calib or {}, lessons.train, lessons.labels, lessons.held, lessons.scoring.references, lessons.scoring.data):
            for name, array in arrays.items():
                digest.update(f"{name} {digest_of(array)}".encode())
        return digest.hexdigest()


def _plain(recipe):
    said = asdict(recipe)
    return said | {"float_operators": sorted(said["float_operators"])}
