"""--report: what happened to every operator, as one self-contained HTML page."""

from math import isfinite, log2
from pathlib import Path

import numpy as np

from ...passes.multiply_adds import multiply_adds
from ...passes.sensitivity.layer_errors import layer_errors
from ...targets.schema import printable
from ...targets.writing import write_atomically
from ..console import decibels, percent, size
from . import plots, small_plots

EXACT = 89.9  # From so many dB on, a tensor is exact.
MOST_PLOTS = 150  # So many tensors and layers get a plot of their own; the table holds all.
_COLUMNS = (
    ("#", True),
    ("operator", False),
    ("kind", False),
    ("runs in", False),
    ("multiply-adds, M", True),
    ("fused, or why not int8", False),
    ("own SQNR, dB", True),
    ("inherited, dB", True),
    ("SQNR, dB", True),
)


def write_report(path, workflow, report: dict) -> None:
    """Writes the page that tells how a package was made, and how good it is.

    workflow: the Workflow (tools/building/accuracy.py) that made the package. report: of compile-model. Raises
    OctetError without matplotlib or jinja2."""
    write_atomically(Path(path), render(workflow, report).encode())


def render(workflow, report: dict) -> str:
    """The page as HTML. "sections" of the report may hold more of it: (id, title, HTML) each."""
    plots.require_plots()
    from jinja2 import Environment

    from .report_page import PAGE

    design, bench = workflow.outcome.design, workflow.bench
    plan = bench.plan(design)
    errors = {e.name: e for e in layer_errors(bench, design)}
    numbers = {decision.name: number for number, decision in enumerate(plan.decisions, 1)}
    found = report.get("workflow", {})
    tried = [
        (step["name"], step["sqnr_db"], step["kept"]) for step in found.get("steps", ()) if step["sqnr_db"] is not None
    ]
    ranking, left = found.get("sensitivity", ()), set(found.get("float_operators", ()))
    ranges, layers = bench.ranges(design), list(bench.layers(design).values())
    content = {
        "title": Path(report["model"]).name,
        "subtitle": _subtitle(report),
        "tiles": _tiles(report),
        "before_after": plots.before_after(_panels(report)),
        "steps": [_step(step) for step in found.get("steps", ())],
        "steps_plot": plots.steps_plot(tried) if len(tried) > 1 else "",
        "noise": plots.noise([(numbers[e.name], e.name, e) for e in errors.values()]) if errors else "",
        "ranking": [{**entry, "float": entry["name"] in left, "sqnr": _sqnr(entry["error"])} for entry in ranking],
        "sensitivity": plots.sensitivity(ranking, left) if ranking else "",
        "columns": [{"name": name, "number": number} for name, number in _COLUMNS],
        "operators": _operators(
            plan.decisions, errors, {node.name: multiply_adds(node.value) for node in plan.graph.nodes}
        ),
        "activations": [
            _activation(name, statistics, qparams, design.recipe)
            for name, (statistics, qparams) in list(ranges.items())[:MOST_PLOTS]
        ],
        "more_activations": max(0, len(ranges) - MOST_PLOTS),
        "weights": [_weight(layer, design.recipe) for layer in layers[:MOST_PLOTS]],
        "more_weights": max(0, len(layers) - MOST_PLOTS),
        "sections": report.get("sections", ()),
    }
    # Names may hold what controls a terminal.
    return printable(Environment(autoescape=True).from_string(PAGE).render(content))


def _subtitle(report):
    c, n = report["calibration"], len(report["targets"])
    return (
        f"{Path(report['package']).name}, target{'s' * (n > 1)} {', '.join(report['targets'])}, batch "
        f"{report['batch']}, calibrated with {c['calibrator']} on {c['samples']} samples"
    )


def _tiles(report):
    tiles = []
    if "accuracy" in report:
        a = report["accuracy"]
        shown = "{:.2%}" if a["percent"] else "{:.4g}"
        verdict = (
            ""
            if a["max_drop"] is None
            else (f"target {a['max_drop']:.2%} " + ("missed" if report["target_missed"] else "met"))
        )
        tiles.append(
            (
                f"{a['metric']} on {a['samples']} samples",
                f"{shown.format(a['fp32'])} → {shown.format(a['int8'])}",
                f"drop {percent(a['drop'])}, {verdict}".rstrip(", "),
                report["target_missed"],
            )
        )
    if "latency" in report:
        fp32, int8 = (report["latency"][name]["latency_ms"] for name in ("fp32", "int8"))
        tiles.append(
            (
                f"latency, {report['threads']} threads, {report['variant']}",
                f"{fp32:.3g} → {int8:.3g} ms",
                _times(fp32 / int8, "faster", "slower"),
                fp32 < int8,
            )
        )
    s = report["size"]
    tiles.append(
        (
            "size",
            f"{size(s['onnx_bytes'])} → {size(s['package_bytes'])}",
            f"{_times(s['onnx_bytes'] / s['package_bytes'], 'smaller', 'larger')}, code included",
            False,
        )
    )
    m = report["multiply_adds"]
    total = m["int8"] + m["float"]
    o = report["operators"]
    tiles.append(
        (
            "multiply-adds in int8",
            f"{m['int8'] / max(total, 1):.1%}",
            f"of {total / 1e6:.1f} M; kernels: {o['int8']} int8, {o['float']} float",
            False,
        )
    )
    return [{"name": name, "value": value, "note": note, "bad": bad} for name, value, note, bad in tiles]


def _times(ratio, better, worse):
    return f"{ratio:.1f} times {better}" if ratio >= 1 else f"{1 / ratio:.1f} times {worse}"


def _panels(report):
    """(title, fp32, int8, their labels) of each."""
    panels = []
    if "accuracy" in report:
        a = report["accuracy"]
        shown = "{:.2%}" if a["percent"] else "{:.4g}"
        panels.append((a["metric"], a["fp32"], a["int8"], *(shown.format(a[name]) for name in ("fp32", "int8"))))
    if "latency" in report:
        both = [report["latency"][name] for name in ("fp32", "int8")]
        labels = (f"{one['latency_ms']:.3g} ms ({one['p10_ms']:.3g} to {one['p90_ms']:.3g})" for one in both)
        panels.append(("latency, median (10th to 90th percentile)", *(one["latency_ms"] for one in both), *labels))
    sizes = (report["size"]["onnx_bytes"], report["size"]["package_bytes"])
    return [*panels, ("size", *sizes, *map(size, sizes))]


def _step(step):
    sqnr, drop = step["sqnr_db"], step["drop"]
    return {
        "name": step["name"],
        "sqnr": decibels(sqnr),
        "drop": "" if drop is None else percent(drop),
        "compiled": step["compiled"],
        "kept": step["kept"],
    }


def _sqnr(error):
    """Of an error relative to the signal's power, in dB."""
    level = -plots.clipped_decibels(error)
    return "not finite" if not isfinite(error) else f"{level:.1f}" if level < EXACT else "exact"


def _operators(decisions, errors, macs):
    rows = []
    for number, decision in enumerate(decisions, 1):
        row = {
            "number": number,
            "name": decision.name,
            "op": decision.op.removeprefix("relax.").removeprefix("nn."),
            "dtype": decision.dtype,
            "why": decision.reason,
            "macs": f"{macs[decision.name] / 1e6:.2f}" if macs.get(decision.name) else "",
        }
        found = errors.get(decision.name)
        for part in ("own", "inherited", "total"):
            row[part], row[f"{part}_value"] = (
                ("", "")
                if found is None
                else (_sqnr(getattr(found, part)), f"{-plots.clipped_decibels(getattr(found, part)):.2f}")
            )
        row["level"] = "" if found is None else f"{np.clip((float(row['total_value']) - 10) / 50, 0.02, 1):.2f}"
        rows.append(row)
    return rows


def _activation(name, statistics, qparams, recipe):
    own = {tensor: (calibrator, percentile) for tensor, calibrator, percentile in recipe.per_tensor}
    calibrator, percentile = own.get(name, (recipe.calibrator, recipe.percentile))
    low, high, count = statistics.masses()
    half = qparams.scale / 2  # Any value within the range is rounded by at most this.
    clipped = count[(high < qparams.range[0] - half) | (low > qparams.range[1] + half)].sum() / max(count.sum(), 1)
    shown = f"{calibrator} {percentile:g}" if calibrator == "percentile" else calibrator
    note = (
        f"{shown}: {qparams.range[0]:.4g} … {qparams.range[1]:.4g} of {statistics.range[0]:.4g} … "
        f"{statistics.range[1]:.4g}; step {qparams.scale:.3g}; {f'{clipped:.4%}' if clipped else 'nothing'} clipped"
    )
    return {"name": name, "note": note, "plot": small_plots.histogram_plot(statistics, qparams)}


def _weight(layer, recipe):
    largest = np.abs(layer.weight).max(axis=tuple(i for i in range(layer.weight.ndim) if i != layer.axis))
    used = largest[largest > 0]
    note = f"{len(largest)} channels"
    if used.size:
        ratio = float(used.max() / used.min())
        note += f", widest {ratio:.3g} times the narrowest"
        if ratio > 2:
            note += (
                f": {'one' if recipe.weights == 'per-channel' else 'the one'} scale for all leaves the narrowest "
                f"{max(8 - log2(ratio), 0):.1f} of 8 bits"
            )
    return {"name": layer.name, "note": note, "plot": small_plots.channels(layer.weight, layer.axis)}
