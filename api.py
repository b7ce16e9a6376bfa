"""The library behind `import octet`: load_onnx, quantize, compile."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from .passes.annotate.recipe import Recipe
from .passes.calibrate.cache import StatisticsCache
from .passes.calibrate.collect import Samples
from .passes.calibrate.quantize import Quantized
from .passes.frontend.model import Model
from .passes.frontend.onnx import load_onnx
from .targets.package import Package
from .targets.samples import load_samples
from .tools.building.options import BuildOptions
from .tools.building.packages import build_package
from .tools.building.quantizing import quantize_model
from .tools.building.watching import check_samples_for_clips, with_usual_clips
from .tools.reporter import CallingReporter

__all__ = ["compile", "load_onnx", "quantize"]


def quantize(
    model: Model,
    samples: Samples | str | Path | None = None,
    recipe: Recipe | None = None,
    threads: int | None = None,
    phase: Callable[[str], object] = lambda name: None,
    progress: Callable[[int, int | None], object] | None = None,
    cache: StatisticsCache | str | Path | None = None,
) -> Quantized:
    """Post-training quantization: the QDQ hub of a network. One that comes quantised keeps its own scales; samples and
    recipe are not needed.

    samples: calibration data, a few hundred are plenty: a path of an .npz (read as it goes), {input name: array [N,
    ...]}, an iterable of such dictionaries (streamed; parts of any length), or a function that gives one. phase: called
    with a short name when a stage begins. progress: called with (samples done, samples in all or None). cache: a folder
    where statistics are kept and looked up, or a StatisticsCache; not for streams, whose content is known only when
    they are over. Raises DataError when the samples do not fit the model."""
    kept = cache if cache is None or isinstance(cache, StatisticsCache) else StatisticsCache(Path(cache))
    options = BuildOptions(recipe if recipe is not None else Recipe(), threads=threads, cache=kept)
    return quantize_model(model, samples, options, CallingReporter(phase, progress))


def compile(
    quantized: Quantized,
    targets: str | Iterable[str] = ("native",),
    trials: int = 0,
    db: str | None = None,
    threads: int | None = None,
    phase: Callable[[str], object] = lambda name: None,
    policy: str = "fastest",
    samples: Mapping[str, np.ndarray] | str | Path | None = None,
) -> Package:
    """Compiles the QDQ hub to a package with one variant per target ("native": the best that runs here).

    trials: schedules to measure per kernel of the targets that run here; 0 measures none. db: a file or URL of tuning
    records, which are applied; None for none, with trials the user's (tuning/place.py). threads: most cores to measure
    with. phase: called with a short name when a stage begins. policy: "fastest" leaves in float what int8 would make
    slower, measured with trials, else by the cost model; "int8" leaves nothing, "float" everything. samples: a path or
    {input: array [N, ...]}, for `Recipe(count_clips=True)`: calibration samples, from whose answers it is learnt how
    many clipped values are usual. Raises TargetError for a target without kernels, OctetError for a database that
    cannot be opened."""
    names = (targets,) if isinstance(targets, str) else tuple(targets)
    options = BuildOptions(targets=names, threads=threads, trials=trials, db=db, policy=policy)
    arrays = load_samples(samples, quantized.model) if isinstance(samples, (str, Path)) else samples
    check_samples_for_clips(quantized.recipe, arrays, quantized.model)
    package = build_package(quantized, options, CallingReporter(phase))[1]
    return with_usual_clips(package, arrays) if quantized.recipe.count_clips else package
