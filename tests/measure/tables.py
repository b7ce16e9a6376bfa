"""The rows of docs/speed.md, of docs/accuracy.md, "Figures", and of docs/selfcheck.md, for networks in a folder.

usage: python tests/measure/tables.py speed FOLDER NAME...       (NAME.onnx, NAME.npz: build.py writes both)
       python tests/measure/tables.py watching FOLDER NAME...    (the same)
       python tests/measure/tables.py accuracy FOLDER NAME...    (NAME.onnx, NAME-calib.npz, NAME-val.npz with labels)

Peers that are installed take part (pip install 'octet[peers]'). Packages stay in FOLDER; one that is there is not
compiled again."""

import json
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from octet.targets.package import load
from octet.targets.runtime import Session
from octet.tools.random_inputs import random_inputs

OCTET = Path(sys.executable).with_name("octet")
COLUMNS = {
    "octet-int8": "Octet int8",
    "openvino-int8": "OpenVINO int8",
    "onnxruntime-int8": "ONNX Runtime int8",
    "octet-fp32": "Octet fp32",
    "onnxruntime-fp32": "ONNX Runtime fp32",
    "openvino-fp32": "OpenVINO fp32",
}
ROUNDS = 60


def octet(*words: object) -> dict:
    """What a command writes with --json."""
    report = Path(str(words[1])).with_suffix(f".{words[0]}.json")
    subprocess.run([OCTET, *map(str, words), "--json", report], check=True, stdout=subprocess.DEVNULL)
    return json.loads(report.read_text())


def compiled(model: Path, calib: Path, *options: object, suffix: str = ".octet") -> Path:
    """The package beside the model, made if it is not there."""
    package = model.with_suffix(suffix)
    if not package.exists():
        octet("compile", model, "--calib", calib, *options, "-o", package)
    return package


def peers(*names: str) -> list[str]:
    """Words of a command line for those that are installed."""
    found = [name for name in names if find_spec(name)]
    return ["--against", ",".join(found)] if found else []


def speed(model: Path) -> str:
    """Median milliseconds of every column on one core and, behind a stroke, on two; in brackets the CPU time of one."""
    calib = model.with_suffix(".npz")
    package = compiled(model, calib, "--no-repair")
    against = peers("onnxruntime", "openvino")
    words = ["--model", model, *(["--calib", calib, *against] if against else [])]
    one, two = (octet("bench", package, *words, "--threads", cores)["details"] for cores in (1, 2))
    cells = [
        f"{one[name]['latency_ms']:.3g} / {two[name]['latency_ms']:.3g} ({one[name]['cpu_ms']:.3g})"
        if name in one and name in two
        else ""
        for name in COLUMNS
    ]
    return f"| {model.stem} | {' | '.join(cells)} |"


def accuracy(model: Path) -> str:
    """fp32's and int8's figure, the drop, agreement in dB, the part of the multiply-adds in float; then the peers'."""
    calib, data = (model.with_name(f"{model.stem}-{part}.npz") for part in ("calib", "val"))
    report = model.with_suffix(".compile.json")
    package = compiled(model, calib, "--validate", data, "--max-drop", 0.01)
    made, counts = json.loads(report.read_text()), json.loads(report.read_text())["multiply_adds"]
    found = made["accuracy"]
    cells = [
        f"{found['fp32']:.2%}",
        f"**{found['int8']:.2%}**",
        f"{found['drop']:.2%}",
        f"{made['workflow']['steps'][-1]['sqnr_db']:.1f}",
        f"{counts['float'] / sum(counts.values()):.1%}",
    ]
    if words := peers("onnxruntime", "nncf"):
        told = octet("evaluate", package, "--model", model, "--data", data, "--calib", calib, *words)["against"]
        cells += [f"{each['name']}: {each['top1']:.2%}" for each in told if each["top1"] is not None]
    return f"| {model.stem} | {' | '.join(cells)} |"


def watching(model: Path) -> str:
    """CPU time of a run on one core with checks, and with counts, over that without either; the three in turns."""
    calib, options = model.with_suffix(".npz"), {"": (), ".check": ("--self-check",), ".count": ("--count-clips",)}
    packages = [
        compiled(model, calib, "--no-repair", *words, suffix=f"{name}.octet") for name, words in options.items()
    ]
    sessions = [load(str(package), threads=1) for package in packages]
    feed = random_inputs(sessions[0].inputs)
    taken = [[cpu_seconds(session, feed) for session in sessions] for _ in range(ROUNDS)]
    _, check, count = np.median(np.array(taken) / np.array(taken)[:, :1], axis=0)
    sizes = (package.stat().st_size / 1e6 for package in packages)
    return f"| {model.stem} | {check:.2f} | {count:.2f} | {', '.join(f'{size:.2f}' for size in sizes)} |"


def cpu_seconds(session: Session, feed: dict[str, np.ndarray]) -> float:
    """The least of some runs."""
    found = []
    for _ in range(8):
        start = time.process_time()
        session.run(feed)
        found.append(time.process_time() - start)
    return min(found)


HEADS = {
    speed: list(COLUMNS.values()),
    watching: ["`--self-check`", "`--count-clips`", "MB without, with checks, with counts"],
    accuracy: ["fp32", "int8", "drop", "SQNR, dB", "in float", "others"],
}


def main(kind: str, folder: str, *names: str) -> None:
    """Prints the table as it is ready, row by row."""
    make = {each.__name__: each for each in HEADS}[kind]
    print("| network |", " | ".join(HEADS[make]), "|")
    print("|" + "---|" * (len(HEADS[make]) + 1))
    for name in names:
        print(make(Path(folder) / f"{name}.onnx"), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
