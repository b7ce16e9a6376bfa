"""octet finetune: training as the last resort, with the integer arithmetic in its forward pass."""

import click

from ..building.calibration_cache import cache_of, cache_options, say_where_from
from ..console import JSON_HELP
from ..errors import Command
from .input_options import input_options
from .metric_options import METRIC_HELP, output_names
from .recipe_options import precision_options


@click.command(cls=Command)
@click.argument("model", metavar="MODEL.onnx")
@click.option(
    "--calib",
    metavar="DATA.npz",
    help="Calibration samples. A network that comes quantised keeps its ranges and needs none.",
)
@click.option(
    "--train",
    required=True,
    metavar="DATA.npz",
    help="Training samples, with `labels` if there are any; fp32's answers teach as well.",
)
@click.option(
    "--validate",
    metavar="DATA.npz",
    help="Samples that say which epoch is best [default: a part of the training samples, which then does not train].",
)
@click.option("--metric", help=f"{METRIC_HELP} [default: top1 where there are labels, else sqnr]")
@output_names()
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="TUNED.onnx",
    help="The tuned network with its ranges, which octet compile takes without --calib.",
)
@click.option(
    "--epochs", type=click.IntRange(1, 10_000), default=30, show_default=True, help="Passes over the training samples."
)
@click.option("--mini-batch", type=click.IntRange(min=1), default=32, show_default=True, help="Samples per step.")
@click.option(
    "--learning-rate",
    type=click.FloatRange(0, 127, min_open=True),
    default=0.01,
    show_default=True,
    help="Of the first step, in quantisation steps of each layer; a cosine takes it to 0.",
)
@click.option(
    "--distill",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Part of fp32's answers in the loss where there are labels; without labels it is all of it.",
)
@click.option(
    "--variants",
    type=click.IntRange(0, 10_000),
    default=0,
    show_default=True,
    help="Pictures made of every training picture (turned, scaled, shifted, lit otherwise), for those who have few.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of the order of the samples, and of --variants.",
)
@click.option(
    "--device", type=click.Choice(("cpu", "cuda")), default="cpu", show_default=True, help="Where PyTorch trains."
)
@input_options
@click.option("--threads", type=click.IntRange(min=1), help="Cores to use [default: all].")
@click.option("--calibrator", help="auto (default: chosen by measurement), mse, max, entropy or percentile.")
@click.option("--percentile", type=float, help="For --calibrator percentile [default: 99.99].")
@click.option("--activations", help="affine (default) or symmetric.")
@click.option("--weights", help="per-channel (default) or per-tensor.")
@precision_options
@cache_options
@click.option("--json", "json_path", metavar="FILE", help=JSON_HELP)
def finetune(
    *,
    model,
    calib,
    train,
    validate,
    metric,
    output_names,
    output,
    epochs,
    mini_batch,
    learning_rate,
    distill,
    variants,
    seed,
    device,
    given,
    threads,
    cache,
    no_cache,
    json_path,
    **recipe,
):
    """Train a quantised network further, for what no calibration saves. Needs PyTorch (pip install 'octet[train]').

    The forward pass is the integer arithmetic of the compiled package, ranges are those of the best calibration and
    stay. The state of the training lies beside TUNED.onnx until it ends: the same command goes on after an
    interruption."""
    from pathlib import Path
    from types import SimpleNamespace

    from ...targets.errors import OctetError
    from ...targets.writing import check_writable
    from ..training.requirement import require_torch

    require_torch("octet finetune")
    import torch

    from ...passes.sensitivity.output_error import sqnr
    from ..building.recipes import recipe_of
    from ..console import check_json, decibels, out, percent, say, text_table, write_json
    from ..data import check_calib, read_samples, warn_of_constant
    from ..reporter import reporting
    from ..training.course import Course
    from ..training.finetuning import Finetuning
    from ..training.fit import Schedule
    from ..training.lessons import lessons_of

    check_json(json_path)
    check_writable(output)
    if device == "cuda" and not torch.cuda.is_available():
        raise OctetError("--device cuda: PyTorch finds no GPU here; leave --device out")
    kept = cache_of(cache, no_cache)
    made = recipe_of(SimpleNamespace(**recipe | {"calibrator": recipe["calibrator"] or "auto"}))
    with reporting() as reporter:
        reporter.phase("import")
        network = given.load(model, calib if calib is not None else train)
        check_calib(calib, model, network)
        samples = None if calib is None or network.comes_quantised else read_samples(calib, network)[0]
        if samples is not None:
            warn_of_constant(calib, samples)

        lessons = lessons_of(network, train, validate, metric, output_names)
        schedule = Schedule(epochs, mini_batch, learning_rate, seed)
        course = Course(lessons, schedule, distill, variants, threads, device)
        report = Finetuning(network, samples, made, course, reporter, kept).run(output)
    say_where_from(kept)
    report["seconds"] = {name: round(value, 3) for name, value in reporter.seconds.items()}
    chosen, name = lessons.scoring.metric, lessons.scoring.worst(report["fp32"], report["tuned"])
    best = report["epochs"][report["best_epoch"]]
    rows = [
        ("fp32", chosen.shown(report["fp32"][name]), "", ""),
        (
            "as calibrated",
            chosen.shown(report["calibrated"][name]),
            percent(report["calibrated_drop"]),
            decibels(sqnr(report["calibrated_error"])),
        ),
        ("tuned", chosen.shown(report["tuned"][name]), percent(best["drop"]), decibels(sqnr(best["error"]))),
    ]
    title = (
        f"{Path(output).name}: {report['samples']} samples, {report['train_samples']} trained; epoch "
        f"{report['best_epoch']} of {epochs} was best"
    )
    out().print(
        text_table(
            title, ("", chosen.name, "relative drop", "SQNR dB"), rows, right=(chosen.name, "relative drop", "SQNR dB")
        )
    )
    if report["best_epoch"] == 0:
        say(
            "training made nothing better: the file is the network as calibrated; try another --learning-rate, more "
            "samples or more epochs"
        )
    write_json(json_path, report)
