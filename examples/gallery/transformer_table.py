"""Trained transformers in int8 by Octet's default command, by NNCF and by ONNX Runtime on the same samples: how near to
fp32, and how fast.

transformer_table.py [NAME...] [--folder FOLDER] prints one table; FOLDER (build/gallery/transformers) holds packages,
models, samples and what was found so far, so a run that was ended goes on."""

import argparse
import json
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
from family import BUILD, install
from transformer_networks import NETWORKS
from transformer_peers import FP32, PeerFailed, answers, cpu_milliseconds, ways

HEADS = ("cosine to fp32, mean (least)", "more than Octet's (95 %)", "dB", "CPU ms a run", "MB")
_RESAMPLES = 4000


def measured(name: str, folder: Path) -> dict:
    """Measures a network in every way: {way: {"cosine", "least", "db", "same", "asked", "ms", "bytes"} or {"failed":
    why}}."""
    network, packages, work = NETWORKS[name], folder / "packages", folder / name
    work.mkdir(parents=True, exist_ok=True)
    for package in network.packages:
        install(package, packages)
    model = network.model(packages, work)
    calibration, validation = (_samples(network, packages, work, which) for which in (False, True))
    package = _compiled(network, model, work)
    cuts = [_runs(arrays) for arrays in (calibration, validation)]
    found, outputs, opened = {}, {}, {}
    for title, way in ways(package).items():
        try:
            path, given = answers(title, way, model, *cuts, work)
            outputs[title] = [{network.output: each[network.output]} for each in given] if network.output else given
            opened[title] = way, path
        except PeerFailed as error:
            found[title] = {"failed": str(error)}
            print(f"{network.title}: {title} cannot: {error}", file=sys.stderr)
    wanted = outputs[FP32], network.decisions(outputs[FP32], packages, work)
    times = cpu_milliseconds(opened, cuts[1][0], 5, 0.5)
    for title, given in outputs.items():
        found[title] = _compared(*wanted, given, network.decisions(given, packages, work))
        found[title] |= {"ms": times[title], "bytes": sum(each.stat().st_size for each in _files(opened[title][1]))}
    (work / "found.json").write_text(json.dumps(found, indent=1))
    return found


def _files(path):
    return [each for each in (path, path.with_suffix(".bin")) if each.exists()]


def _samples(network, packages, work, validation):
    path = work / ("validation.npz" if validation else "calibration.npz")
    if not path.exists():
        np.savez(path, **network.samples(packages, network.counts, validation))
    with np.load(path) as stored:
        return dict(stored)


def _runs(arrays):
    return [
        {name: array[row : row + 1] for name, array in arrays.items()}
        for row in range(len(next(iter(arrays.values()))))
    ]


def _compiled(network, model, work):
    package = work / "network.octet"
    if not package.exists():
        octet = Path(sys.executable).with_name("octet")
        command = [octet, "compile", model, "--calib", work / "calibration.npz", *network.options, "--threads", "1"]
        subprocess.run(
            [*command, "-o", package, "--json", work / "compile.json"], check=True, stdout=subprocess.DEVNULL
        )
    return package


def _compared(wanted, decided, given, decisions):
    """Compares answers with fp32's; cosines are of the vectors of the last axis, their mean over a sample."""
    cosines, signal, noise = [], 0.0, 0.0
    for one, other in zip(wanted, given, strict=True):
        name = next(iter(one))
        exact, found = one[name].astype("float64"), other[name].astype("float64")
        lengths = np.linalg.norm(exact, axis=-1) * np.linalg.norm(found, axis=-1)
        cosines.append(float(((exact * found).sum(-1) / np.maximum(lengths, 1e-30)).mean()))
        signal, noise = signal + (exact**2).sum(), noise + ((exact - found) ** 2).sum()
    same = sum(one == other for one, other in zip(decided, decisions, strict=True))
    return {
        "cosine": float(np.mean(cosines)),
        "least": min(cosines),
        "cosines": [round(each, 7) for each in cosines],
        "db": float(10 * np.log10(signal / noise)) if noise else None,
        "same": same,
        "asked": len(decided),
    }


def rows(name: str, found: dict) -> list[str]:
    """A network's table in Markdown."""
    network = NETWORKS[name]
    made = [
        f"**{network.title}** ({network.counts[0]} samples to calibrate, {network.counts[1]} others to compare)",
        "",
    ]
    made += ["| | " + " | ".join((*HEADS[:3], network.decision, *HEADS[3:])) + " |", "|---" * 7 + "|"]
    for title, figures in found.items():
        if "failed" in figures:
            made.append(f"| {title} | cannot: {figures['failed']} | | | | | |")
            continue
        near, beside, decibels = "", "", ""
        if figures["db"] is not None:
            near, decibels = f"{figures['cosine']:.5f} ({figures['least']:.4f})", f"{figures['db']:.1f}"
            beside = "" if title == "Octet" else _beside(figures["cosines"], found["Octet"]["cosines"])
        cells = (title, near, beside, decibels, f"{figures['same']} of {figures['asked']}")
        made.append("| " + " | ".join((*cells, f"{figures['ms']:.2f}", f"{figures['bytes'] / 1e6:.1f}")) + " |")
    return [*made, ""]


def _beside(cosines: list[float], ours: list[float]) -> str:
    """Says by how much the mean is above ours, with 95 % of what the same samples, drawn anew, say."""
    differences = np.subtract(cosines, ours)
    draws = np.random.default_rng(0).integers(0, len(differences), (_RESAMPLES, len(differences)))
    low, high = np.percentile(differences[draws].mean(1), (2.5, 97.5))
    return f"{differences.mean():+.5f} ({low:+.5f} to {high:+.5f})"


def processor() -> str:
    """Names the processor as Linux calls it, with the instructions that matter here."""
    about = Path("/proc/cpuinfo")
    if not about.exists():
        return platform.processor()
    text = about.read_text()
    [name, *_] = (line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name"))
    return name + "".join(f", {flag}" for flag in ("amx_int8", "avx512_vnni", "avx_vnni") if f" {flag}" in text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NETWORKS)} [default: all]")
    parser.add_argument("--folder", type=Path, default=BUILD / "transformers")
    chosen = parser.parse_args()
    if unknown := set(chosen.names) - set(NETWORKS):
        parser.error(f"no network is called {', '.join(sorted(unknown))}; there are {', '.join(NETWORKS)}")
    folder = chosen.folder.resolve()
    print(f"On {processor()}, one core.\n")
    for name in chosen.names or NETWORKS:
        stored = folder / name / "found.json"
        found = json.loads(stored.read_text()) if stored.exists() else measured(name, folder)
        print("\n".join(rows(name, found)), flush=True)


if __name__ == "__main__":
    main()
