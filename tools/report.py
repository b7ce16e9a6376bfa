"""--report: what happened to every operator, as one self-contained HTML page."""

from math import log10
from pathlib import Path

from ..passes.sensitivity.layer_errors import layer_errors
from ..targets.archive import write_atomically
from . import plots

MOST_PLOTS = 64  # tensors and layers that get a plot of their own; the table holds all
_COLUMNS = (("operator", False), ("kind", False), ("dtype", False), ("why", False), ("own SQNR dB", True), ("inherited SQNR dB", True), ("SQNR dB", True))


def write_report(path, workflow, report: dict) -> None:
    """workflow: the tools.accuracy.Workflow that made the package. report: of compile-model. Raises OctetError without matplotlib or jinja2."""
    write_atomically(Path(path), render(workflow, report).encode())


def render(workflow, report: dict) -> str:
    """The page."""
    design, bench = workflow.outcome.design, workflow.bench
    plots.figure()  # says what is missing before anything long
    from jinja2 import Environment

    from .report_page import PAGE

    errors = layer_errors(bench, design)
    layers = list(bench.layers(design).values())
    content = {
        "title": f"{Path(report['model']).name} → {Path(report['package']).name}",
        "summary": _summary(report),
        "steps": [_step(step) for step in report.get("workflow", {}).get("steps", ())],
        "noise": plots.noise(errors) if errors else "",
        "columns": [{"name": name, "number": number} for name, number in _COLUMNS],
        "operators": _operators(bench.plan(design).decisions, {e.name: e for e in errors}),
        "activations": [plots.histogram(name, *found) for name, found in list(bench.ranges(design).items())[:MOST_PLOTS]],
        "weights": [plots.channels(layer.name, layer.weight, layer.axis) for layer in layers[:MOST_PLOTS]],
    }
    return Environment(autoescape=True).from_string(PAGE).render(content)


def _summary(report):
    rows = []
    if "accuracy" in report:
        a = report["accuracy"]
        rows.append((f"{a['metric']}, {a['samples']} samples (drop {a['drop']:.2%})", f"{a['fp32']:.4g}", f"{a['int8']:.4g}"))
    if "latency" in report:
        rows.append((f"latency, {report['threads']} threads", *(f"{report['latency'][name]['latency_ms']:.3f} ms" for name in ("fp32", "int8"))))
    rows.append(("size, kB", f"{report['size']['onnx_bytes'] / 1e3:.0f}", f"{report['size']['package_bytes'] / 1e3:.0f}"))
    return rows


def _step(step):
    sqnr, drop = step["sqnr_db"], step["drop"]
    return {"name": step["name"], "sqnr": "" if sqnr is None else f"{sqnr:.2f}", "drop": "" if drop is None else f"{drop:.2%}", "kept": step["kept"]}


def _operators(decisions, errors):
    rows = []
    for decision in decisions:
        row = {"name": decision.name, "op": decision.op, "dtype": decision.dtype, "why": decision.reason}
        found = errors.get(decision.name)
        for part in ("own", "inherited", "total"):
            value = None if found is None else _decibels(getattr(found, part))
            row[part], row[f"{part}_value"] = ("", "") if value is None else (f"{value:.1f}", f"{value:.3f}")
        rows.append(row)
    return rows


def _decibels(error: float) -> float:
    """SQNR in dB, at most 200."""
    return 200.0 if error < 1e-20 else -10 * log10(error)
