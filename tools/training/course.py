"""One training of one quantised network: what it is taught, for how long, and who judges it."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import numpy as np
import torch

from ...passes.calibrate.quantize import Quantized
from ...passes.sensitivity.output_error import relative_error
from ...targets.batches import run_samples
from ...targets.samples import digest_of
from ..building.sessions import float_session
from .checkpoint import TrainingState
from .fit import Fit, Schedule
from .lessons import Lessons
from .network import Network
from .objective import Objective
from .samples import answers
from .starts import narrowed
from .trained_network import network_of
from .variants import with_variants

AT_ONCE = 64  # So many samples are judged together.


@dataclass(frozen=True)
class Taken:
    """What a training came to.

    quantized: the hub that was trained; network: with the parameters of the best epoch, on the CPU. fp32,
    calibrated, tuned: {output: the metric} of the samples that judge. first: their relative drop and squared error as
    calibrated. resumed: epochs that an earlier run had made."""

    quantized: Quantized
    network: Network
    state: TrainingState
    fp32: Mapping[str, float]
    calibrated: Mapping[str, float]
    tuned: Mapping[str, float]
    first: tuple[float, float]
    resumed: int


@dataclass(frozen=True)
class Course:
    """How a quantised network is trained further.

    lessons: what the samples teach, and which judge. distill: see Objective. variants: made of each training sample
    (variants.py). device: "cpu" or "cuda"."""

    lessons: Lessons
    schedule: Schedule
    distill: float
    variants: int = 0
    threads: int | None = None
    device: str = "cpu"

    def take(
        self,
        quantized: Quantized,
        path,
        identity: str,
        tell: Callable = lambda done, total, text: None,
        phase: Callable = lambda name: None,
    ) -> Taken:
        """Trains the network and gives what came of it.

        path, identity: of the file that an interrupted training goes on from. tell(steps done, steps in all, text).
        Raises UnsupportedModelError for operators without a form in PyTorch."""
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        lessons, held = self.lessons, self.lessons.held
        network = network_of(quantized)
        phase("fp32 reference")
        session = float_session(quantized.model, self.threads)
        train = with_variants(quantized.model, lessons.train, self.variants, self.schedule.seed)
        labels = {name: np.concatenate([array] * (self.variants + 1)) for name, array in lessons.labels.items()}
        exact, teacher = run_samples(session, held), run_samples(session, train)
        scoring = lessons.scoring.completed(exact)
        before = scoring.scores(exact)

        def judged(each: Network):
            found = answers(each.to(self.device), quantized.model, held, AT_ONCE, self.device)
            return scoring.drop(before, scoring.scores(found)), relative_error(exact, found)

        def scores():
            return scoring.scores(answers(network.cpu(), quantized.model, held, AT_ONCE))

        calibrated, first = scores(), judged(network)
        other = quantized if quantized.model.comes_quantised else narrowed(quantized)
        if other is not quantized and judged(made := network_of(other)) < first:
            quantized, network = other, made
        objective = Objective(quantized.model, teacher, lessons.classes, labels, self.distill)
        fit = Fit(network, objective, train, self.schedule, judged, path, identity, tell, self.device)
        phase("train")
        state = fit.run()
        return Taken(quantized, network, state, before, calibrated, scores(), first, fit.resumed)

    def said(self) -> tuple:
        """Everything that the training depends on beside the network, as text."""
        lessons, parts = self.lessons, []
        for arrays in (lessons.train, lessons.labels, lessons.held, lessons.scoring.references, lessons.scoring.data):
            parts += [f"{name} {digest_of(array)}" for name, array in arrays.items()]
        return (
            asdict(self.schedule),
            self.distill,
            self.variants,
            lessons.scoring.metric.name,
            sorted(lessons.classes),
            *parts,
        )
