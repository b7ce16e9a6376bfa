"""octet study: the paper's tables for a network of one's own."""

import click

from ..building.calibration_cache import cache_of, cache_options, say_where_from
from ..console import JSON_HELP
from ..errors import Command
from .input_options import input_options
from .metric_options import METRIC_HELP, output_names
from .recipe_options import precision_options

_COLUMNS = ("weights", "BatchNorm", "calibration", "in float", "score", "drop", "95 %", "SQNR dB")


@click.command(cls=Command)
@click.argument("model", metavar="MODEL.onnx")
@click.option("--calib", required=True, metavar="DATA.npz", help="Calibration samples.")
@click.option("--data", required=True, metavar="DATA.npz", help="Validation samples, and `labels`.")
@click.option("--metric", default="top1", show_default=True, help=METRIC_HELP)
@output_names("--output")
@click.option(
    "--train",
    metavar="DATA.npz",
    help=(
        "Training samples: every pair's best calibration is fine-tuned, too (octet finetune). Neither these nor those "
        "of --calib should be among --data."
    ),
)
@click.option(
    "--epochs",
    type=click.IntRange(1, 10_000),
    default=4,
    show_default=True,
    help="Of --train: passes over the training samples.",
)
@click.option(
    "--learning-rate",
    type=click.FloatRange(0, 127, min_open=True),
    default=0.01,
    show_default=True,
    help="Of --train, as in octet finetune.",
)
@click.option(
    "--variants",
    type=click.IntRange(0, 10_000),
    default=0,
    show_default=True,
    help="Of --train: pictures made of every training picture.",
)
@click.option(
    "--max-drop",
    type=click.FloatRange(min=0),
    default=0.01,
    show_default=True,
    help="Partial quantization is tried where a pair loses more.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of the resampling behind the intervals, and of the training.",
)
@input_options
@click.option("--threads", type=click.IntRange(min=1), help="Cores to use [default: all].")
@precision_options
@cache_options
@click.option("--html", metavar="STUDY.html", help="Write the table as a page.")
@click.option("--json", "json_path", metavar="FILE", help=JSON_HELP)
def study(
    *,
    model,
    calib,
    data,
    metric,
    output_names,
    train,
    epochs,
    learning_rate,
    variants,
    max_drop,
    seed,
    given,
    threads,
    cache,
    no_cache,
    html,
    json_path,
    **recipe,
):
    """Weight granularity x BatchNorm folding x calibration x partial quantization, and fine-tuning, with paired
    confidence intervals."""
    from pathlib import Path
    from types import SimpleNamespace

    from ...targets.writing import check_writable, write_atomically
    from ..building.experiments import study as run_study
    from ..building.options import BuildOptions
    from ..building.recipes import recipe_of
    from ..console import check_json, out, text_table, write_json
    from ..data import read_samples
    from ..metrics import find_metric
    from ..pages import plots
    from ..pages.study_page import page
    from ..reporter import reporting
    from ..scores import scoring_of
    from ..training.requirement import require_torch

    check_json(json_path)
    if html is not None:
        plots.require_plots("--html")
        check_writable(html)
    if train is not None:
        require_torch("octet study --train")
    chosen, kept = find_metric(metric), cache_of(cache, no_cache)
    with reporting() as reporter:
        reporter.phase("import")
        network = given.load(model, calib)
        samples, _ = read_samples(calib, network)
        arrays, others = read_samples(data, network, others=chosen.whole)
        # Without labels fp32's own outputs stand in.
        scoring = scoring_of(chosen, others, network, len(next(iter(arrays.values()))), data, output_names)
        tuner = None
        if train is not None:
            from ..training.course import Course
            from ..training.fit import Schedule
            from ..training.lessons import lessons_of
            from ..training.tuner import FineTuner

            schedule = Schedule(epochs, 32, learning_rate, seed)
            tuner = FineTuner(
                Course(lessons_of(network, train, None, metric, output_names), schedule, 0.5, variants, threads)
            )
        reporter.phase("study")
        report = run_study(
            network,
            samples,
            arrays,
            scoring,
            BuildOptions(recipe_of(SimpleNamespace(**recipe)), threads=threads, cache=kept),
            reporter,
            seed=seed,
            target=max_drop,
            tuner=tuner,
        )
    say_where_from(kept)
    rows = [_cells(row) for row in report["rows"]]
    title = f"{Path(model).name}: fp32 {chosen.name} {report['fp32']:.4f}, {report['samples']} samples"
    out().print(text_table(title, _COLUMNS, rows, right=_COLUMNS[3:]))
    write_json(json_path, report)
    if html is not None:
        write_atomically(Path(html), page(Path(model).name, report, _COLUMNS, rows).encode())


def _cells(row):
    from ..console import decibels

    return (
        row["weights"],
        row["batch_norm"],
        row["calibration"],
        row["in_float"],
        f"{row['score']:.4f}",
        f"{row['drop']:+.4f}",
        f"[{row['low']:+.4f}, {row['high']:+.4f}]",
        decibels(row["sqnr"]),
    )
