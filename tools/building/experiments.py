"""The paper's tables for one network (Wu et al., sections 4 to 6): weight granularity x BatchNorm folding x calibration
x partial quantization x fine-tuning."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from ...passes.canonicalize.fold_affine import FoldAffine
from ...passes.canonicalize.fold_affine_forward import FoldAffineForward
from ...passes.canonicalize.fold_affine_through_relu import FoldAffineThroughRelu
from ...passes.ops import is_op
from ...passes.pipeline import CANONICALIZE, canonicalize
from ...passes.sensitivity.bench import Bench
from ...passes.sensitivity.budget import Budget
from ...passes.sensitivity.choices.ranges import CALIBRATIONS
from ...passes.sensitivity.design import Design
from ...passes.sensitivity.journal import Journal
from ...passes.sensitivity.output_error import sqnr
from ...passes.sensitivity.ranking import rank
from ..reporter import Reporter
from .calibration import measuring
from .judge import MetricJudge
from .options import BuildOptions

GRANULARITIES = ("per-channel", "per-tensor")
PARTIAL = (1, 2, 4, 8, 16)  # These numbers of layers are left in float in turn, and no more once the target holds.
_RESAMPLES = 300


@dataclass(frozen=True)
class StudyRow:
    """One cell of the tables. score: the metric, of the output that loses most. drop: by how much it is worse than
    fp32, and its 95 % interval over paired samples; relative: as --max-drop takes it. sqnr: dB, held out, of the worst
    output."""

    weights: str
    batch_norm: str
    calibration: str
    in_float: int
    score: float
    drop: float
    low: float
    high: float
    sqnr: float
    relative: float


def study(
    model,
    samples,
    arrays,
    scoring,
    options: BuildOptions,
    reporter: Reporter,
    *,
    seed: int = 0,
    target: float = 0.01,
    tuner: Callable | None = None,
) -> dict:
    """Scores a network under every combination that the study compares.

    {"fp32": score, "metric": name, "samples": n, "seed": seed, "max_drop": target, "rows": [Row as a dictionary,
    ...]}; equal for equal arguments.

    options: its recipe's other choices hold for all rows. tuner(bench, design, tell(text)) -> a function from inputs to
    outputs: the design after fine-tuning, one row more for each pair. model: Model as imported. scoring: what outputs
    are compared with. reporter: is told of the rows that are done, out of the rows of calibrators. Partial quantization
    is measured where the best calibration of a (granularity, folding) pair loses more than `target`, relative to
    fp32."""
    networks = {
        name: network
        for name, network in (("folded", canonicalize(model)), ("kept", _unfolded(model)))
        if network is not None
    }
    rows: list[StudyRow] = []
    fp32: Mapping[str, float] | None = None

    def tell(text):
        reporter.message(text)
        reporter.progress(sum(not row.in_float for row in rows), total)

    total = len(networks) * len(GRANULARITIES) * (len(CALIBRATIONS) + (tuner is not None))
    for folding, network in networks.items():
        bench = Bench(network, samples, threads=options.threads, measure=measuring(options.cache))
        exact = bench.float_outputs(arrays)
        scoring = scoring.completed(exact)
        judge = MetricJudge(arrays, scoring, scoring.scores(exact))
        fp32 = judge.reference if fp32 is None else fp32
        for granularity in GRANULARITIES:
            rows += _pair(
                bench,
                judge,
                exact,
                replace(options.recipe, weights=granularity),
                folding,
                seed,
                target,
                tell,
                tuner,
            )
    assert fp32 is not None, "there is a network that is folded"
    return {
        "fp32": fp32[scoring.least(fp32)],
        "metric": scoring.metric.name,
        "samples": len(next(iter(arrays.values()))),
        "seed": seed,
        "max_drop": target,
        "rows": [row.__dict__ for row in rows],
    }


def _pair(bench, judge, exact, recipe, folding, seed, target, tell, tuner):
    granularity, designs = (
        recipe.weights,
        [Design(replace(recipe, calibrator=name, percentile=percentile)) for name, percentile in CALIBRATIONS],
    )
    rows = []
    for design in designs:
        tell(f"{granularity}, BatchNorm {folding}, {_name(design)}")
        rows.append(_row(bench, judge, exact, design, folding, 0, seed))
    best, design = min(zip(rows, designs), key=lambda pair: (pair[0].relative, -pair[0].sqnr))
    if tuner is not None:
        tell(f"{granularity}, BatchNorm {folding}, {_name(design)}, fine-tuned")
        run = tuner(bench, design, lambda text: tell(f"{granularity}, BatchNorm {folding}, fine-tuned: {text}"))
        rows.append(
            _row_of(
                judge,
                exact,
                run(judge.arrays),
                bench.error_of(run(bench.held)),
                design,
                folding,
                seed,
                f"{_name(design)}, fine-tuned",
            )
        )
    if best.relative <= target:
        return rows
    ranking = rank(
        bench,
        design,
        bench.plan(design),
        judge,
        Journal(),
        Budget(),
        lambda text, done, of: tell(f"{granularity}, BatchNorm {folding}, {text} {done}/{of}"),
    )
    for count in [count for count in PARTIAL if count < len(ranking)]:
        partial = design.with_recipe(float_operators=frozenset(layer.name for layer in ranking[:count]))
        rows.append(_row(bench, judge, exact, partial, folding, count, seed))
        if rows[-1].relative <= target:
            break
    return rows


def _row(bench, judge, exact, design, folding, count, seed):
    return _row_of(
        judge,
        exact,
        bench.outputs(design, judge.arrays),
        bench.error(design),
        design,
        folding,
        seed,
        _name(design),
        count,
    )


def _row_of(judge, exact, outputs, error, design, folding, seed, calibration, count=0):
    scores = judge.scoring.scores(outputs)
    worst = judge.scoring.worst(judge.reference, scores)
    low, high = interval_of_losses(judge, exact, outputs, seed, worst)
    drop = _worse(judge, judge.reference[worst], scores[worst])
    return StudyRow(
        design.recipe.weights,
        folding,
        calibration,
        count,
        scores[worst],
        drop,
        low,
        high,
        sqnr(error),
        judge.scoring.drop(judge.reference, scores),
    )


def interval_of_losses(judge: MetricJudge, exact: dict, outputs: dict, seed: int, output: str) -> tuple[float, float]:
    """95 % of the loss of score of one output ("" of all together) against fp32 on the same samples: from the paired
    differences where samples are right or wrong and the score is their mean, else by resampling them."""
    scoring = judge.scoring.of(output)
    losses, usual = (scoring.losses(each) if scoring.metric.name == "top1" else None for each in (outputs, exact))
    if losses is not None and usual is not None:
        difference = losses.astype(np.float64) - usual
        half = 1.96 * difference.std() / sqrt(len(difference))
        return float(difference.mean() - half), float(difference.mean() + half)
    rng, count = np.random.default_rng(seed), scoring.count
    drops = []
    for _ in range(_RESAMPLES):
        chosen = rng.integers(0, count, count)
        some = scoring.rows(chosen)
        before, after = (
            some.scores({name: value[chosen] for name, value in o.items() if len(value) == count})[output]
            for o in (exact, outputs)
        )
        drops.append(_worse(judge, before, after))
    return float(np.percentile(drops, 2.5)), float(np.percentile(drops, 97.5))


def _worse(judge, before, after):
    """By how much `after` is worse, in units of the metric."""
    return before - after if judge.scoring.metric.larger_is_better else after - before


def _unfolded(model):
    """The network with its BatchNorms as products and sums of their own; None if that is the folded one."""
    module = model.module
    for step in CANONICALIZE:
        if not isinstance(step, (FoldAffine, FoldAffineThroughRelu, FoldAffineForward)):
            module = step(module)
    folded = _products(canonicalize(model).module)
    return model.with_module(module) if _products(module) > folded else None


def _products(module):
    """How many multiplications of two tensors there are: every BatchNorm that is not folded is one."""
    values = (binding.value for binding in module["main"].body.blocks[0].bindings)
    return sum(is_op(value, "relax.multiply") for value in values)


def _name(design):
    recipe = design.recipe
    return f"percentile {recipe.percentile:g}" if recipe.calibrator == "percentile" else recipe.calibrator
