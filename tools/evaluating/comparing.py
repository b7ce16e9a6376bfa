"""The work behind octet evaluate --against."""

from ...passes.calibrate.held_out import for_ranges
from ...targets.batches import run_samples
from ...targets.errors import OctetError
from ..building.opening import fp32_session
from ..building.options import BuildOptions
from ..building.packages import build_package
from ..building.quantizing import quantize_model
from ..console import percent, progress, text_table
from ..data import read_samples
from ..reporter import Reporter
from . import comparison
from .evaluation import score


def check_options(model, against, calib, onnx_path, metric) -> tuple[str, ...]:
    """The tools to compare with, none without --against. Raises OctetError for options that do not go together."""
    if against is None:
        if onnx_path is not None and calib is None and metric.decided is not None and str(model).endswith(".octet"):
            return ()  # The ONNX file gives the fp32 outputs that the metric compares with.
        if calib is not None or onnx_path is not None:
            raise OctetError(
                f"--{'calib' if calib is not None else 'model'}: is for the int8 of other tools; add --against "
                f"{','.join(list(comparison.PEERS)[:2])}"
            )
        return ()
    if calib is None:
        raise OctetError(f"--against {against}: needs --calib DATA.npz, to make the peers' int8 models")
    package = str(model).endswith(".octet")
    if package == (onnx_path is None):
        raise OctetError(
            f"--against {against}: {model} is a package, add --model MODEL.onnx for the peers"
            if package
            else f"--model {onnx_path}: MODEL itself is the .onnx; leave it out"
        )
    return comparison.chosen_tools(against)


def fp32_outputs(onnx_path, session, arrays, given) -> dict:
    """Runs the fp32 network whose outputs stand in for labels.

    {output: array} of the fp32 network on the data, in place of labels. session: of the package that was made from
    it."""
    return run_samples(fp32_session(onnx_path, session.threads, given), arrays)


def compare(names, path, given, calib, session, precision, values, arrays, scoring) -> tuple[list[dict], dict]:
    """Validates the package beside other tools.

    (rows, versions of the tools). The first two rows are Octet's fp32 and int8; drop: of the worst output against
    that fp32, relative.
    session: of MODEL, whose metric is `values`; path, given: of the fp32 network and its inputs."""
    samples, _ = read_samples(calib, session)
    if precision == "int8":
        fp32 = fp32_session(path, session.threads, given)
        ours = [("octet fp32", score(fp32, arrays, scoring)), ("octet int8", values)]
    else:
        model = given.load(path, calib)
        options, reporter = BuildOptions(threads=session.threads), Reporter()
        hub = quantize_model(model, for_ranges(samples, model), options, reporter)
        package = build_package(hub, options, reporter)[1]
        ours = [
            ("octet fp32", values),
            ("octet int8, as calibrated", score(package.session(session.threads), arrays, scoring)),
        ]
    rows = [comparison.Result(name, found, 0.0) for name, found in ours]
    work = comparison.Comparison(
        str(path),
        session.inputs,
        session.outputs,
        samples,
        arrays,
        scoring,
        session.batch,
        session.threads,
        values=given.values,
    )
    with progress("peers") as advance:
        for row in work.results(names):
            rows.append(row)
            advance()
    return [_row(row, scoring, ours[0][1]) for row in rows], comparison.tool_versions(names)


def _row(row, scoring, fp32):
    if row.value is None:
        return {
            "name": row.name,
            scoring.metric.name: None,
            "drop": None,
            "seconds": round(row.seconds, 1),
            "error": row.error,
        }
    worst = scoring.worst(fp32, row.value)
    several = {"output": worst, "outputs": row.value} if len(row.value) > 1 else {}
    return {
        "name": row.name,
        scoring.metric.name: row.value[worst],
        "drop": scoring.drop(fp32, row.value),
        "seconds": round(row.seconds, 1),
        "error": row.error,
    } | several


def print_comparison(console, metric, report: dict) -> None:
    """The table: one row per tool and setting."""
    rows = []
    for row in report["against"]:
        value = row[metric.name]
        rows.append(
            (
                row["name"],
                "" if value is None else metric.shown(value),
                "" if row["drop"] is None else percent(row["drop"]),
                f"{row['seconds']:.1f}" if row["seconds"] else "",
                row["error"],
            )
        )
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    console.print(
        text_table(
            f"{report['samples']} samples; {versions}",
            ("tool", metric.name, "drop", "seconds to quantise", ""),
            rows,
            right=(metric.name, "drop", "seconds to quantise"),
        )
    )
