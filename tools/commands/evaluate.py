"""octet evaluate: the accuracy of a network, fp32 (.onnx) or int8 (.octet), on labelled data, and of other tools' int8
beside it."""

import click

from ..console import JSON_HELP
from ..errors import Command
from .input_options import input_options
from .metric_options import METRIC_HELP, output_names


@click.command(cls=Command)
@click.argument("model", metavar="MODEL")
@click.option(
    "--data",
    required=True,
    metavar="DATA.npz",
    help="One array per input, and `labels` (`labels/OUTPUT` of one output; what else the metric needs).",
)
@click.option("--metric", default="top1", show_default=True, help=METRIC_HELP)
@output_names("--output")
@click.option(
    "--against",
    metavar="NAMES",
    help="Other tools' int8 on the same data: some of onnxruntime,nncf,nncf-accuracy-control; needs --calib.",
)
@click.option(
    "--calib", metavar="DATA.npz", help="Calibration samples for the peers, and for our int8 where MODEL is an .onnx."
)
@click.option(
    "--model",
    "onnx_path",
    metavar="MODEL.onnx",
    help=(
        "The fp32 network of a package: for --against, and for metrics that compare with fp32 where there are no "
        "labels."
    ),
)
@click.option("--threads", type=click.IntRange(min=1), help="Cores to use [default: all].")
@input_options
@click.option("--json", "json_path", metavar="FILE", help=JSON_HELP)
def evaluate(*, model, data, metric, output_names, against, calib, onnx_path, threads, given, json_path):
    """Measure accuracy: MODEL is an .onnx (run in fp32) or a package.

    With --against, a table of fp32, Octet's int8 and the int8 of the other tools at their various settings."""
    import time

    from ..building.given import as_compiled
    from ..building.opening import check_origin, open_model, origin_of
    from ..console import check_json, out, progress, say, write_json
    from ..data import read_samples
    from ..evaluating.comparing import check_options, compare, fp32_outputs, print_comparison
    from ..evaluating.evaluation import score
    from ..metrics import find_metric
    from ..scores import scoring_of

    check_json(json_path)
    chosen = find_metric(metric)
    names = check_options(model, against, calib, onnx_path, chosen)
    session, precision = open_model(model, threads, given, data)
    if onnx_path is not None:
        check_origin(model, onnx_path)
    arrays, others = read_samples(data, session, others=chosen.whole)
    count = len(next(iter(arrays.values())))
    scoring = scoring_of(chosen, others, session, count, data, output_names, fp32=onnx_path is not None)
    if scoring.absent:
        scoring = scoring.completed(fp32_outputs(onnx_path, session, arrays, as_compiled(session, origin_of(model))))
    start = time.perf_counter()
    with progress("evaluate", count) as advance:
        values = score(session, arrays, scoring, advance)
    seconds = time.perf_counter() - start
    for name, value in values.items():
        of = f" of output {name}" if len(values) > 1 else ""
        say(
            f"{model} ({precision}, {session.target}): {chosen.name}{of} {chosen.shown(value, 4)} on {count} samples, "
            f"{count / seconds:.0f} samples/s"
        )
    report = {
        chosen.name: values[scoring.least(values)],
        "samples": count,
        "precision": precision,
        "variant": session.target,
        "seconds": round(seconds, 3),
    }
    report |= {"outputs": values} if len(values) > 1 else {}
    if names:
        report["against"], report["versions"] = compare(
            names,
            onnx_path or model,
            given if onnx_path is None else as_compiled(session, origin_of(model)),
            calib,
            session,
            precision,
            values,
            arrays,
            scoring,
        )
        print_comparison(out(), chosen, report)
    write_json(json_path, report)
