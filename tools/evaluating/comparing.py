"""The work behind octet evaluate --against."""

from ...targets.errors import OctetError
from ..building import api
from ..building.opening import fp32_session
from ..console import progress, table
from ..data import read_samples
from . import comparison
from .evaluation import score


def check_options(model, against, calib, onnx_path) -> tuple[str, ...]:
    """The tools to compare with, none without --against. Raises OctetError for options that do not go together."""
    if against is None:
        if calib is not None or onnx_path is not None:
            raise OctetError(f"--{'calib' if calib is not None else 'model'}: is for the int8 of other tools; add --against {','.join(list(comparison.PEERS)[:2])}")
        return ()
    if calib is None:
        raise OctetError(f"--against {against}: needs --calib DATA.npz, to make the peers' int8 models")
    package = str(model).endswith(".octet")
    if package == (onnx_path is None):
        raise OctetError(f"--against {against}: {model} is a package, add --model MODEL.onnx for the peers" if package else f"--model {onnx_path}: MODEL itself is the .onnx; leave it out")
    return comparison.chosen(against)


def compare(names, path, given, calib, session, precision, value, arrays, labels, metric) -> tuple[list[dict], dict]:
    """(rows, versions of the tools). The first two rows are Octet's fp32 and int8; drop: against that fp32, relative.
    session: of MODEL, whose metric is `value`; path, given: of the fp32 network and its inputs."""
    samples, _ = read_samples(calib, session)
    if precision == "int8":
        fp32 = fp32_session(path, session.threads, given)
        ours = [("octet fp32", score(fp32, arrays, labels, metric)), ("octet int8", value)]
    else:
        model = given.load(path, calib)
        package = api.compile(api.quantize(model, samples, threads=session.threads))
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
