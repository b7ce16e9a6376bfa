"""octet evaluate: the accuracy of a network, fp32 (.onnx) or int8 (.octet), on labelled data."""

import click

from .console import JSON_HELP
from .errors import Command


@click.command(cls=Command)
@click.argument("model", metavar="MODEL")
@click.option("--data", required=True, metavar="DATA.npz", help="One array per input, and `labels`.")
@click.option("--metric", default="top1", show_default=True, help="top1, top5, f1, mse, sqnr, cosine, or package.module:function.")
@click.option("--threads", type=click.IntRange(min=1), help="Cores to use [default: all].")
@click.option("--batch", type=click.IntRange(min=1), help="Of an .onnx with a symbolic batch dimension [default: 1].")
@click.option("--json", "json_path", metavar="FILE", help=JSON_HELP)
def evaluate(model, data, metric, threads, batch, json_path):
    """Measure accuracy: MODEL is an .onnx (run in fp32) or a package."""
    import time

    from .console import check_json, out, progress, write_json
    from .data import read_samples
    from .evaluation import check_labels, find_metric, score
    from .opening import open_model

    check_json(json_path)
    chosen = find_metric(metric)
    session, precision = open_model(model, threads, batch)
    arrays, labels = read_samples(data, session)
    count = len(next(iter(arrays.values())))
    labels = check_labels(chosen, labels, count, session.outputs, data)
    start = time.perf_counter()
    with progress("evaluate", count) as advance:
        value = score(session, arrays, labels, chosen, advance)
    seconds = time.perf_counter() - start
    shown = f"{value:.4%}" if chosen.name.startswith("top") else f"{value:.6g}"
    out().print(f"{model} ({precision}, {session.target}): {chosen.name} {shown} on {count} samples, {count / seconds:.0f} samples/s")
    write_json(json_path, {chosen.name: value, "samples": count, "precision": precision, "variant": session.target, "seconds": round(seconds, 3)})
