"""octet study: the paper's tables for a network of one's own."""

import click

from .console import JSON_HELP
from .errors import Command

_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title><style>
body { font: 14px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 60em; } table { border-collapse: collapse; }
th, td { padding: .25em .8em; border-bottom: 1px solid #d9dee4; text-align: left; } .n { text-align: right; }</style></head><body>
<h1>{{ title }}</h1><p>fp32 {{ report.metric }} {{ "%.4f"|format(report.fp32) }} on {{ report.samples }} samples, seed {{ report.seed }}</p>
<table><tr>{% for c in columns %}<th>{{ c }}</th>{% endfor %}</tr>
{% for row in rows %}<tr>{% for cell in row %}<td{% if loop.index > 3 %} class="n"{% endif %}>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table></body></html>
"""
_COLUMNS = ("weights", "BatchNorm", "calibration", "in float", "score", "drop", "95 %", "SQNR dB")


@click.command(cls=Command)
@click.argument("model", metavar="MODEL.onnx")
@click.option("--calib", required=True, metavar="DATA.npz", help="Calibration samples.")
@click.option("--data", required=True, metavar="DATA.npz", help="Validation samples, and `labels`.")
@click.option("--metric", default="top1", show_default=True, help="top1, top5, f1, mse, sqnr, cosine, or package.module:function.")
@click.option("--max-drop", type=click.FloatRange(min=0), default=0.01, show_default=True, help="Partial quantization is tried where a pair loses more.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the resampling behind the intervals.")
@click.option("--batch", type=click.IntRange(min=1), help="Extent of a symbolic batch dimension [default: 1].")
@click.option("--threads", type=click.IntRange(min=1), help="Cores to use [default: all].")
@click.option("--html", metavar="STUDY.html", help="Write the table as a page.")
@click.option("--json", "json_path", metavar="FILE", help=JSON_HELP)
def study(model, calib, data, metric, max_drop, seed, batch, threads, html, json_path):
    """Weight granularity x BatchNorm folding x calibration x partial quantization, with paired confidence intervals."""
    from pathlib import Path

    from ..targets.archive import check_writable, write_atomically
    from .api import load_onnx
    from .console import check_json, out, table, write_json
    from .data import read_samples
    from .evaluation import check_labels, find_metric
    from .experiments import study as run_study
    from .phases import phases

    check_json(json_path)
    if html is not None:
        check_writable(html)
    chosen = find_metric(metric)
    with phases() as (phase, display):
        phase("import")
        network = load_onnx(model, batch)
        samples, _ = read_samples(calib, network)
        arrays, labels = read_samples(data, network)
        labels = check_labels(chosen, labels, len(next(iter(arrays.values()))), network.outputs, data)
        phase("study")
        report = run_study(network, samples, arrays, labels, chosen, seed=seed, target=max_drop, threads=threads, tell=lambda text, *_: display.describe(text))
    rows = [_cells(row) for row in report["rows"]]
    title = f"{Path(model).name}: fp32 {chosen.name} {report['fp32']:.4f}, {report['samples']} samples"
    out().print(table(title, _COLUMNS, rows, right=_COLUMNS[3:]))
    write_json(json_path, report)
    if html is not None:
        write_atomically(Path(html), page(Path(model).name, report, rows).encode())


def page(name: str, report: dict, rows) -> str:
    """The table as HTML. Raises OctetError without jinja2."""
    from ..targets.errors import OctetError

    try:
        from jinja2 import Environment
    except ImportError:
        raise OctetError("--html needs jinja2; install it with pip install 'octet[report]'") from None
    return Environment(autoescape=True).from_string(_PAGE).render(title=f"Study of {name}", report=report, columns=_COLUMNS, rows=rows)


def _cells(row):
    return (row["weights"], row["batch_norm"], row["calibration"], row["in_float"], f"{row['score']:.4f}", f"{row['drop']:+.4f}",
            f"[{row['low']:+.4f}, {row['high']:+.4f}]", f"{row['sqnr']:.2f}")  # fmt: skip
