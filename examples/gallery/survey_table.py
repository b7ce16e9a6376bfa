"""Of what survey.py found: counts in words, and a row per network, written into gallery.md."""

from pathlib import Path

from table import processor

BEGIN, END = "<!-- survey: made by survey.py -->", "<!-- end of survey -->"
DOCUMENT = Path(__file__).parents[1] / "gallery.md"
EARLIER = "earlier"  # By a commit that nobody noted.
PATIENCE = 180  # Compiling should take no more seconds.
RUNTIMES = ("octet-int8", "openvino-int8", "onnxruntime-int8", "octet-fp32", "openvino-fp32", "onnxruntime-fp32")
HEADS = (
    "network",
    "commit",
    "chosen",
    "samples",
    "compile, s of CPU",
    "by the clock",
    "GB",
    "dB",
    "decides as fp32",
    *RUNTIMES,
    "int8 / float",
)


def table(reports: list[dict]) -> str:
    """A row per network, in the order of their names."""
    rows = [" | ".join(HEADS), " | ".join("---" for _ in HEADS)]
    for report in sorted(reports, key=lambda report: report["name"]):
        taken = report.get("compile", {})
        agreed = (report.get("agreement") or {}).get("sqnr_db")
        made, counts, times = report.get("decisions"), report.get("operators"), report.get("milliseconds", {})
        cells = [
            report["name"],
            " / ".join(dict.fromkeys(report[by] for by in ("compiled by", "timed by") if by in report)),
            " ".join(report["options"]),
            report.get("samples", ""),
            *(str(taken.get(measure, "")) for measure in ("cpu", "wall")),
            f"{taken['peak'] / 1e9:.1f}" if "peak" in taken else "",
            report["error"] if report["error"] else "" if agreed is None else f"{agreed:.1f}",
            "{decision}: {same} of {asked}".format(**made) if made else "",
        ]
        for runtime in RUNTIMES:
            value = times.get(runtime)
            cells.append(
                "" if value is None else f"**{value:.3f}**" if value == min(times.values()) else f"{value:.3f}"
            )
        cells.append(f"{counts['int8']} / {counts['float']}" if counts else "")
        rows.append(" | ".join(cells))
    return "\n".join(f"| {row} |" for row in rows)


def read(text: str) -> list[dict]:
    """The reports of a table's rows, as far as a row holds them; `compiled by` is EARLIER where it has no commit."""
    heads, _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines())
    return [_read_row(dict(zip(heads, row, strict=True))) for row in rows]


def _read_row(cells):
    commits = cells.get("commit", EARLIER).split(" / ")
    report = {"name": cells["network"], "compiled by": commits[0], "options": cells["chosen"].split(), "error": ""}
    report |= {"samples": cells["samples"]} if cells["samples"] else {}
    if not cells["int8 / float"]:
        return report | {"error": cells["dB"]}
    taken = {"cpu": cells["compile, s of CPU"], "wall": cells.get("by the clock"), "peak": cells["GB"]}
    taken = {measure: float(value) for measure, value in taken.items() if value}
    report["compile"] = taken | ({"peak": taken["peak"] * 1e9} if "peak" in taken else {})
    report["operators"] = dict(zip(("int8", "float"), map(int, cells["int8 / float"].split(" / ")), strict=True))
    report["agreement"] = {"sqnr_db": float(cells["dB"])} if cells["dB"] else {}
    if cells["decides as fp32"]:
        decision, same, _, asked = cells["decides as fp32"].split()
        report["decisions"] = {"decision": decision[:-1], "same": int(same), "asked": int(asked)}
    times = {runtime: float(cells[runtime].strip("*")) for runtime in RUNTIMES if cells[runtime]}
    return report | ({"milliseconds": times, "timed by": commits[-1]} if times else {})


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
    spent = lambda measure: sorted(each["compile"][measure] for each in compiled if measure in each["compile"])
    late = lambda measure: _named(each for each in compiled if each["compile"].get(measure, 0) > PATIENCE)
    middle = lambda values: values[len(values) // 2]
    cpu, wall = spent("cpu"), spent("wall")
    clock = f"; by the clock of a machine that does other work beside, {middle(wall):.0f} s and {wall[-1]:.0f} s"
    return (
        f"Compiling took {middle(cpu):.0f} s of processor time in the median, {cpu[-1]:.0f} s at the most"
        f"{clock if wall else ''}. Longer than {PATIENCE} s: by processor time {late('cpu')}, by the clock "
        f"{late('wall')}. {_versions(compiled, 'compiled')}"
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
    """Says how many rows were made by which commit."""
    by = [report[f"{did} by"] for report in reports]
    counts = sorted(((by.count(commit), commit) for commit in {*by}), reverse=True)
    said = ", ".join(f"{count} {'' if commit == EARLIER else 'by '}{commit}" for count, commit in counts)
    return f"{did.capitalize()}: {said}."


def written(reports: list[dict]) -> None:
    """Puts the counts and the table of what was tried into gallery.md. Rows of what was not tried stay as they were,
    and so do the times of what was compiled and not timed."""
    before, rest = DOCUMENT.read_text().split(BEGIN)
    inside, after = rest.split(END)
    stayed = {report["name"]: report for report in read(inside[inside.index("| network ") :].rstrip())}
    times = lambda row: {name: row[name] for name in ("milliseconds", "timed by") if name in row}
    fresh = {
        each["name"]: (times(stayed.get(each["name"], {})) if "operators" in each else {}) | each for each in reports
    }
    every = [*(stayed | fresh).values()]
    made = "\n\n".join((f"On {processor()}.", summary(every), table(every)))
    DOCUMENT.write_text(f"{before}{BEGIN}\n{made}\n{END}{after}")
