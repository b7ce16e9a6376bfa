"""Writes the figures that the scripts left in build/gallery into gallery.md, between its two marks."""

import json
import platform
from pathlib import Path

import family

DOCUMENT = Path(__file__).parents[1] / "gallery.md"
BEGIN, END = "<!-- figures: made by table.py -->", "<!-- end of figures -->"
INT8 = ("octet-int8", "onnxruntime-int8")
TIMED = ("octet-int8", "openvino-int8", "onnxruntime-int8", "octet-fp32", "openvino-fp32", "onnxruntime-fp32")
NAMES = {"octet": "Octet", "openvino": "OpenVINO", "onnxruntime": "ONNX Runtime"}


def reports() -> dict:
    """Reads what the scripts that ran have found: {script: report}."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(family.BUILD.glob("*.json"))}


def _titled(runtime):
    name, precision = runtime.split("-")
    return f"{NAMES[name]} {precision}"


def _answers(found, wanted):
    """Counts right answers, as "right 96 of 100", or those that are fp32's where nobody knows better."""
    if found is None:
        return "cannot quantise it"
    count = found["right"] if wanted == "right" and found["right"] is not None else found["same"]
    return f"{count} of {found['asked']}"


def _row(cells):
    return f"| {' | '.join(cells)} |"


def _accuracy(found: dict) -> list[str]:
    int8 = [_titled(each) for each in INT8]
    heads = [
        "task",
        "right, fp32",
        *(f"right, {each}" for each in int8),
        *(f"as fp32, {each}" for each in int8),
        f"SQNR, dB, {' / '.join(int8)}",
    ]
    rows = [_row(heads), "|---" * len(heads) + "|"]
    for report in found.values():
        answers = report["answers"]
        known = answers[family.REFERENCE]["right"] is not None
        right = [_answers(answers.get(each), "right") if known else "" for each in (family.REFERENCE, *INT8)]
        same = [_answers(answers.get(each), "same") for each in INT8]
        noise = " / ".join(str((answers.get(each) or {}).get("sqnr") or "-") for each in INT8)
        rows.append(_row((report["task"], *right, *same, noise)))
    return rows


def _speed(found: dict) -> list[str]:
    heads = ["task, milliseconds", "network", *map(_titled, TIMED), "operators int8 / float", "MB"]
    rows = [_row(heads), "|---" * len(heads) + "|"]
    for report in found.values():
        fastest = min(report["milliseconds"].values())
        cells = []
        for runtime in TIMED:
            taken = report["milliseconds"].get(runtime)
            cells.append("cannot" if taken is None else f"**{taken:.3f}**" if taken == fastest else f"{taken:.3f}")
        before, after = (size / 1e6 for size in report["bytes"])
        network = f"{report['package']}: {Path(report['model']).name}"
        operators = "{} / {}".format(*report["operators"])
        rows.append(_row((report["task"], network, *cells, operators, f"{before:.1f} -> {after:.1f}")))
    return rows


def _with_others(rows: list[str], written: str) -> list[str]:
    """The rows, and those of the table with the same heads that was written before of tasks that did not run now; in
    order of the tasks."""
    old = written.partition(rows[0])[2].strip().split("\n\n")[0].splitlines()[1:] if rows[0] in written else []
    task = lambda row: row.split("|")[1].strip()
    return [*rows[:2], *sorted({task(row): row for row in (*old, *rows[2:])}.values(), key=task)]


def main():
    found = reports()
    text = DOCUMENT.read_text()
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    written = text[len(before) + len(BEGIN) : -len(END + after)]
    tables = (_with_others(rows, written) for rows in (_accuracy(found), _speed(found)))
    parts = [f"Measured on {processor()}, one core.", *(line for table in tables for line in ("", *table))]
    DOCUMENT.write_text(before + BEGIN + "\n" + "\n".join(parts) + "\n" + END + after)


def processor() -> str:
    """What this machine calls its processor."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


if __name__ == "__main__":
    main()
