"""The paper's tables on Fashion-MNIST: `octet study` of every network that train.py made, as one table in Markdown.

Every cell is the loss of top-1 against fp32 in points with its 95 % interval, paired over the 2,500 validation images.
Networks that are missing are trained first, studies that are there (NETWORK.json) are not made again: remove the folder
to begin anew.

usage: pip install 'octet[train]' && python tables.py FOLDER [--data IDX_FOLDER] [--epochs N] [NETWORK...]
        (about ten minutes a network on one core)
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from networks import NETWORKS
from train import DEBIAN

CALIBRATORS = ("max", "entropy", "mse")


def made(folder, name, data, epochs):
    """The report of `octet study`."""
    if not (folder / f"{name}.onnx").exists():
        subprocess.run(
            [
                sys.executable,
                Path(__file__).with_name("train.py"),
                "--data",
                data,
                "--epochs",
                str(epochs),
                folder,
                name,
            ],
            check=True,
        )
    report = folder / f"{name}.json"
    if not report.exists():
        subprocess.run(
            [
                Path(sys.executable).with_name("octet"),
                "study",
                folder / f"{name}.onnx",
                "--calib",
                folder / "calib.npz",
                "--data",
                folder / "val.npz",
                "--train",
                folder / "train.npz",
                "--epochs",
                "2",
                "--threads",
                "1",
                "--json",
                report,
            ],
            check=True,
        )
    return json.loads(report.read_text())


def loss(row):
    return f"{100 * row['drop']:.1f} ± {50 * (row['high'] - row['low']):.1f}"


def lines(name, report):
    rows = report["rows"]
    for weights, folding in dict.fromkeys((row["weights"], row["batch_norm"]) for row in rows):
        pair = [row for row in rows if (row["weights"], row["batch_norm"]) == (weights, folding)]
        whole = {row["calibration"]: row for row in pair if not row["in_float"]}
        percentile = min(
            (row for name, row in whole.items() if name.startswith("percentile") and "fine-tuned" not in name),
            key=lambda row: row["drop"],
        )
        tuned = next((row for name, row in whole.items() if "fine-tuned" in name), None)
        partial = [row for row in pair if row["in_float"]][-1:]
        cells = [
            *(loss(whole[each]) for each in CALIBRATORS),
            f"{loss(percentile)} ({percentile['calibration'].split()[1]})",
            *(f"{loss(row)} ({row['in_float']})" for row in partial),
            *([] if partial else ["not needed"]),
            loss(tuned) if tuned else "",
        ]
        yield (
            f"| {name}, {100 * report['fp32']:.2f} | {weights.removeprefix('per-')} | {folding} | {' | '.join(cells)} |"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--data", default=DEBIAN)
    parser.add_argument("--epochs", type=int, default=6, help="of the fp32 training")
    given = parser.parse_intermixed_args()
    reports = {name: made(given.folder, name, given.data, given.epochs) for name in given.networks}
    print(
        "| network, fp32 top-1 | weights per | BatchNorm | max | entropy | mse | best percentile | layers in float "
        "(how many) | fine-tuned |\n|---|---|---|---|---|---|---|---|---|"
    )
    for name, report in reports.items():
        print(*lines(name, report), sep="\n")


if __name__ == "__main__":
    main()
