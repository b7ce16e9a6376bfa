"""Fine-tuned designs for the tables of `octet study`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ...passes.sensitivity.bench import Bench
from ...passes.sensitivity.design import Design
from .course import AT_ONCE, Course
from .samples import answers


class FineTuner:
    """Trains the networks of a study further.

    course: of every training; its lessons hold out samples of their own, so that none that the table is measured on
    trains or chooses an epoch."""

    def __init__(self, course: Course):
        self._course = course

    def __call__(
        self, bench: Bench, design: Design, tell: Callable[[str], None]
    ) -> Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]:
        """The design after training, as a function from inputs to outputs: the bytes of the compiled package."""
        quantized = bench.hub(design)
        with TemporaryDirectory() as folder:
            taken = self._course.take(
                quantized,
                Path(folder) / "state",
                "0" * 64,
                lambda done, total, text: tell(f"{text}, step {done} of {total}"),
            )
        return lambda arrays: answers(taken.network, quantized.model, arrays, AT_ONCE)
