"""Of what survey.py found: counts in words, and a row per network, written into gallery.md."""

import os
from pathlib import Path

from table import processor

BEGIN, END = "<!-- survey: made by survey.py -->", "<!-- end of survey -->"
DOCUMENT = Path(__file__).parents[1] / "gallery.md"
PATIENCE = 180  # Compiling should take no more seconds.
RUNTIMES = ("octet-int8", "openvino-int8", "onnxruntime-int8", "octet-fp32", "openvino-fp32", "onnxruntime-fp32")


def table(reports: list[dict]) -> str:
    """A row per network, in the order of their names."""
    heads = (
        "network",
        "chosen",
        "samples",
        "compile, s of CPU",
        "GB",
        "dB",
        "decides as fp32",
        *RUNTIMES,
        "int8 / float",
    )
    rows = [" | ".join(heads), " | ".join("---" for _ in heads)]
    for report in reports:
        taken = report.get("compile", {})
        cells = [report["name"], " ".join(report["options"]), report.get("samples", ""), str(taken.get("cpu", ""))]
        cells.append(f"{taken['peak'] / 1e9:.1f}" if "peak" in taken else "")
        agreed = (report.get("agreement") or {}).get("sqnr_db")
        cells.append(report["error"] if report["error"] else "" if agreed is None else f"{agreed:.1f}")
        made = report.get("decisions")
        cells.append("{decision}: {same} of {asked}".format(**made) if made else "")
        best = min(report.get("milliseconds", {"": 0}).values())
        for runtime in RUNTIMES:
            value = report.get("milliseconds", {}).get(runtime)
            cells.append("" if value is None else f"**{value:.3f}**" if value == best else f"{value:.3f}")
        counts = report.get("operators")
        cells.append(f"{counts['int8']} / {counts['float']}" if counts else "")
        rows.append(" | ".join(cells))
    return "\n".join(f"| {row} |" for row in rows)


def summary(reports: list[dict]) -> str:
    """What the table counts, in three paragraphs: what loads and agrees, what compiling takes, who is fastest."""
    compiled = [report for report in reports if "operators" in report]
    timed = [report for report in compiled if "milliseconds" in report]
    return "\n\n".join((_agreement(reports, compiled), _compiling(compiled), *([_speed(timed)] if timed else [])))


def _agreement(reports, compiled):
    shipped = sum(not report["options"] for report in compiled)
    agreed = [report["agreement"].get("sqnr_db", 0) for report in compiled if report["agreement"]]
    asked = [report["decisions"] for report in compiled if report.get("decisions")]
    same = lambda share: sum(each["same"] >= share * each["asked"] for each in asked)
    return (
        f"{len(reports)} structures tried: {len(compiled)} load and compile by the default command, {shipped} of them "
        f"as shipped; {_named(report for report in reports if report not in compiled)} not. Of {len(agreed)} with "
        f"float outputs {sum(each >= 20 for each in agreed)} agree with fp32 to 20 dB or more on held-out samples. Of "
        f"{len(asked)} whose decisions are asked, {same(1)} decide as fp32 every time, {same(0.98)} in at least 98 of "
        f"100 cases, {same(0.95)} in at least 95."
    )


def _compiling(compiled):
    """Says how long compiling took, and by which versions."""
    spent = lambda measure: sorted(report["compile"][measure] for report in compiled)
    middle = lambda values: values[len(values) // 2]
    cpu, wall, load = spent("cpu"), spent("wall"), spent("load")
    late = [report for report in compiled if report["compile"]["wall"] > PATIENCE]
    slow = [report for report in compiled if report["compile"]["cpu"] > PATIENCE]
    return (
        f"Compiling took {middle(cpu):.0f} s of processor time in the median, {cpu[-1]:.0f} s at the most; by "
        f"the clock, at loads of {load[0]:.0f} to {load[-1]:.0f} on {os.cpu_count()} cores, {middle(wall):.0f} s "
        f"and {wall[-1]:.0f} s. Longer than {PATIENCE} s: by processor time {_named(slow)}, by the clock "
        f"{_named(late)}. {_versions(compiled, 'compiled')}"
    )


def _speed(timed):
    """Says how often Octet's int8 is faster than the fastest peer, and by how much."""
    peers = lambda each: min(taken for name, taken in each["milliseconds"].items() if not name.startswith("octet"))
    ahead = {each["name"]: peers(each) / each["milliseconds"]["octet-int8"] for each in timed}
    ratios = sorted(ahead.values())
    low, middle, high = (ratios[len(ratios) * quarter // 4] for quarter in (1, 2, 3))
    own = sum(each["milliseconds"]["octet-int8"] < each["milliseconds"]["octet-fp32"] for each in timed)
    slower = [f"{name} ({ratio:.2f})" for name, ratio in ahead.items() if ratio <= 1]
    return (
        f"Of {len(timed)} that were timed, {len(ratios) - len(slower)} are faster than every peer that runs them, by "
        f"{middle:.1f} times in the median (quartiles {low:.1f} and {high:.1f}), {own} than Octet's own fp32. Not "
        f"faster than a peer: {', '.join(slower) or 'none'}. {_versions(timed, 'timed')}"
    )


def _named(reports):
    return ", ".join(report["name"] for report in reports) or "none"


def _versions(reports, did):
    """Says which commit did it, and of which rows another one."""
    by = [report[f"{did} by"] for report in reports]
    most = max(set(by), key=by.count)
    others = {
        version: _named(report for report, each in zip(reports, by) if each == version) for version in {*by} - {most}
    }
    rest = "".join(f", but by {version} {names}" for version, names in sorted(others.items()))
    return f"{did.capitalize()} by commit {most}{rest}."


def written(reports: list[dict]) -> None:
    """Puts the counts and the table of what was tried into gallery.md."""
    before, rest = DOCUMENT.read_text().split(BEGIN)
    made = "\n\n".join((f"On {processor()}.", summary(reports), table(reports)))
    DOCUMENT.write_text(f"{before}{BEGIN}\n{made}\n{END}{rest.split(END)[1]}")
