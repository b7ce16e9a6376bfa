"""What every script of the gallery does: install a public package, compile the network in it to int8, ask all runtimes
for the task's own answer, time them.

A script describes a Family and calls show(FAMILY). What it makes lies in build/gallery, and so do the packages."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "gallery"
REFERENCE = "onnxruntime-fp32"


@dataclass(frozen=True)
class Family:
    """One public network with its task. package: "name==version" on PyPI. model: the ONNX file in it. beside: packages
    whose data the script needs, too. options: of `octet compile`, for what the file leaves open. calibration(folder):
    feeds of one run, {input: array}. questions(folder): what is asked, a list. answer(run, question, folder): the
    task's own answer; run(feed) gives {output: array}. truth(question): the right answer, where there is one.
    same(answer, other): are they one?"""

    task: str
    package: str
    model: str
    calibration: Callable[[Path], Sequence[dict]]
    questions: Callable[[Path], list]
    answer: Callable
    truth: Callable | None = None
    same: Callable = lambda answer, other: answer == other
    beside: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    stacked: bool = False  # Inputs may hold whole samples: then none of their axes is the batch.
    values: tuple[tuple[str, float], ...] = ()  # Inputs of these names become constants.

    @cached_property
    def folder(self) -> Path:
        """Where the packages are installed, which happens once."""
        for package in (self.package, *self.beside):
            install(package, BUILD / "packages")
        return BUILD / "packages"


def install(package: str, folder: Path) -> None:
    """Installs "name==version" of PyPI there, once."""
    done = folder / f".{package}"
    if not done.exists():
        pip = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--upgrade",
        ]
        subprocess.run([*pip, "--target", folder, package], check=True)
        done.touch()


def likeliest(outputs) -> int:
    """The class of one sample, by the first output: [1, classes]."""
    return int(next(iter(outputs.values()))[0].argmax())


def show(family: Family) -> dict:
    """Prints the family's figures and keeps them in build/gallery/NAME.json, NAME being the script's."""
    from octet.tools.peers.fixed import with_fixed_inputs
    from octet.tools.peers.onnxruntime_peer import quantized

    name = Path(sys.argv[0]).stem
    work = BUILD / name
    work.mkdir(parents=True, exist_ok=True)
    model = with_fixed_inputs(family.folder / family.model, dict(family.values), work)
    feeds = list(family.calibration(family.folder))
    join, samples, package = np.stack if family.stacked else np.concatenate, work / "calib.npz", work / f"{name}.octet"
    np.savez(samples, **{key: join([feed[key] for feed in feeds]) for key in feeds[0]})
    # A run that was ended goes on behind the package that it made.
    if package.exists():
        compiled = json.loads((work / "compile.json").read_text())
    else:
        compiled = _octet(work, "compile", model, "--calib", samples, "-o", package, *family.options)
    runs = {REFERENCE: _onnxruntime(model), "octet-int8": _octet_session(package)}
    try:
        runs["onnxruntime-int8"] = _onnxruntime(quantized(model, feeds, work))
    except Exception as error:
        # ONNX Runtime raises whatever its quantiser meets.
        print(f"onnxruntime cannot quantise it: {str(error).splitlines()[0][:150]}")
    against = ("--threads", "1", "--against", "onnxruntime,openvino", "--model", model, "--calib", samples)
    timed = _octet(work, "bench", package, *against)
    report = {
        "task": family.task,
        "package": family.package,
        "model": family.model,
        "seconds": round(sum(compiled["seconds"].values()), 1),
        "bytes": [(family.folder / family.model).stat().st_size, package.stat().st_size],
        "operators": [compiled["operators"]["int8"], compiled["operators"]["float"]],
        "answers": _compare(family, runs),
        "milliseconds": {runtime: found["cpu_ms"] for runtime, found in timed["details"].items()},
        "failed": timed["failed"],
    }
    (work.parent / f"{name}.json").write_text(json.dumps(report, indent=1))
    _print(report)
    return report


def _compare(family, runs):
    """Asks every runtime every question: {runtime: {"right", "same", "asked", "sqnr"}}. right: answers that are true,
    None where nobody knows; same: answers that are ONNX Runtime's in fp32."""
    questions, found, reference, traces = family.questions(family.folder), {}, None, {}
    for runtime, run in runs.items():
        trace = traces[runtime] = []

        def traced(feed, run=run, trace=trace):
            outputs = run(feed)
            trace.append(outputs)
            return outputs

        answers = [family.answer(traced, question, family.folder) for question in questions]
        reference = answers if reference is None else reference
        truths = None if family.truth is None else [family.truth(question) for question in questions]
        found[runtime] = {
            "asked": len(questions),
            "right": None if truths is None else _agreeing(family, answers, truths),
            "same": _agreeing(family, answers, reference),
            "sqnr": _sqnr(traces[REFERENCE], trace),
        }
        for answer, wanted in zip(answers, reference, strict=True):
            if not family.same(answer, wanted):
                print(f"{runtime} answers {_short(answer)} where fp32 answers {_short(wanted)}")
    return found


def _agreeing(family, answers, others) -> int:
    return sum(bool(family.same(answer, other)) for answer, other in zip(answers, others, strict=True))


def _sqnr(wanted, got):
    """Measures the distance of all float outputs of all runs, in dB: 10 lg (energy in fp32 / energy of the difference),
    None without any. Where a run is fed with what the one before left, errors of all runs before are in it."""
    signal = noise = 0.0
    for one, other in zip(wanted, got, strict=False):
        for name, array in one.items():
            if array.dtype.kind == "f" and array.shape == other[name].shape:
                signal += float((array.astype("float64") ** 2).sum())
                noise += float(((array.astype("float64") - other[name]) ** 2).sum())
    return None if noise == 0 or signal == 0 else round(float(10 * np.log10(signal / noise)), 1)


def _short(answer):
    return str(answer) if len(str(answer)) < 60 else str(answer)[:57] + "..."


def _octet(work, command, *arguments) -> dict:
    """A command of octet, as a person would give it; what it writes with --json."""
    figures = work / f"{command}.json"
    subprocess.run(
        [Path(sys.executable).with_name("octet"), command, *arguments, "--json", figures],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return json.loads(figures.read_text())


def _onnxruntime(path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda feed: dict(zip(names, session.run(None, feed), strict=True))


def _octet_session(path):
    import octet

    return octet.load(path, threads=1).run


def _print(report):
    int8, kept = report["operators"]
    print(
        f"{report['task']} ({report['package']}), compiled in {report['seconds']} s, "
        f"{int8} operators in int8, {kept} in float"
    )
    for runtime, found in report["answers"].items():
        right = "" if found["right"] is None else f"right {found['right']}/{found['asked']}, "
        noise = "" if found["sqnr"] is None else f", {found['sqnr']} dB"
        print(f"  {runtime:18}{right}as fp32 {found['same']}/{found['asked']}{noise}")
    print(
        "  ms of one core: " + ", ".join(f"{runtime} {value:.3f}" for runtime, value in report["milliseconds"].items())
    )
    for runtime, reason in report["failed"].items():
        print(f"  {runtime} cannot run it: {reason}")
