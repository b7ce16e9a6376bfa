"""The work behind octet evaluate --against."""

from ...passes.calibrate.held_out import for_ranges
from ...targets.errors import DataError, OctetError
from ...targets.runtime import run_samples
from ..building import api
from ..building.opening import fp32_session
from ..console import progress, table
from ..data import read_samples
from . import comparison
from .evaluation import score


def check_options(model, against, calib, onnx_path, metric) -> tuple[str, ...]:
    """The tools to compare with, none without --against. Raises OctetError for options that do not go together."""
    if against is None:
        if onnx_path is not None and calib is None and metric.classes is False and str(model).endswith(".octet"):
            return ()  # fp32's outputs are what the metric compares with
        if calib is not None or onnx_path is not None:
            raise OctetError(f"--{'calib' if calib is not None else 'model'}: is for the int8 of other tools; add --against {','.join(list(comparison.PEERS)[:2])}")
        return ()
    if calib is None:
        raise OctetError(f"--against {against}: needs --calib DATA.npz, to make the peers' int8 models")
    package = str(model).endswith(".octet")
    if package == (onnx_path is None):
        raise OctetError(f"--against {against}: {model} is a package, add --model MODEL.onnx for the peers" if package else f"--model {onnx_path}: MODEL itself is the .onnx; leave it out")
    return comparison.chosen(against)


def fp32_outputs(model, onnx_path, session, arrays, given, data, metric: str):
    """The first output of the fp32 network on the data, in place of labels. Raises DataError where nobody named that network."""
    if onnx_path is None:
        hint = "add --model MODEL.onnx" if str(model).endswith(".octet") else "evaluate a package with --model MODEL.onnx"
        raise DataError(f"{data}: holds no labels, {metric} compares with them or with fp32's own outputs; {hint}")
    return run_samples(fp32_session(onnx_path, session.threads, given), arrays)[session.outputs[0].name]


def compare(names, path, given, calib, session, precision, value, arrays, labels, metric) -> tuple[list[dict], dict]:
    """(rows, versions of the tools). The first two rows are Octet's fp32 and int8; drop: against that fp32, relative.
    session: of MODEL, whose metric is `value`; path, given: of the fp32 network and its inputs."""
    samples, _ = read_samples(calib, session)
    if precision == "int8":
        fp32 = fp32_session(path, session.threads, given)
        ours = [("octet fp32", score(fp32, arrays, labels, metric)), ("octet int8", value)]
    else:
        model = given.load(path, calib)
        package = api.compile(api.quantize(model, for_ranges(samples, model), threads=session.threads))
        ours = [("octet fp32", value), ("octet int8, as calibrated", score(package.session(session.threads), arrays, labels, metric))]
    rows = [comparison.Result(name, found, 0.0) for name, found in ours]
    work = comparison.Comparison(
        str(path), session.inputs, samples, arrays, labels, metric.score, session.batch, session.threads,
        larger_is_better=metric.larger_is_better, values=given.values,
    )  # fmt: skip
    with progress("peers") as advance:
        for row in work.results(names):
            rows.append(row)
            advance()
    return [_row(row, metric, ours[0][1]) for row in rows], comparison.versions(names)


def _row(row, metric, fp32):
    drop = None if row.value is None else metric.drop(fp32, row.value)
    return {"name": row.name, metric.name: row.value, "drop": drop, "seconds": round(row.seconds, 1), "error": row.error}


def print_comparison(console, metric: str, report: dict) -> None:
    """The table: one row per tool and setting."""
    rows = []
    for row in report["against"]:
        value = row[metric]
        shown = "" if value is None else (f"{value:.2%}" if metric.startswith("top") else f"{value:.6g}")
        rows.append((row["name"], shown, "" if row["drop"] is None else f"{row['drop']:.2%}", f"{row['seconds']:.1f}" if row["seconds"] else "", row["error"]))
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    console.print(table(f"{report['samples']} samples; {versions}", ("tool", metric, "drop", "seconds to quantise", ""), rows, right=(metric, "drop", "seconds to quantise")))
