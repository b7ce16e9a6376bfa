"""How many public networks load, compile, agree with fp32 and are faster than the peers? Every ONNX file of the
packages in survey.txt, once per structure, is compiled by the default command on samples of about its task
(survey_samples.py), a process each with limits of time and memory, and timed. The smallest come first.

    survey.py [PATTERN...]   tries the networks (those whose path matches) that were not tried yet, and writes the table
                             into gallery.md
    survey.py --no-times     the same without the peers and their times, which take most of it

What is found lies in build/gallery/survey, a .json per network; remove one to try it again."""

import fnmatch
import hashlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import family
import survey_samples
import survey_table

LISTED = Path(__file__).with_name("survey.txt")
SURVEY = family.BUILD / "survey"
LIMIT = 1800  # A command may take so many seconds.
MEMORY = 12 << 30  # A command may allocate so many bytes of data.
ROOMS = ("__init__.py", "api.py", "passes", "targets", "tuning", "tools")  # What decides on a package's bytes.


def listed(kind: str) -> list[list[str]]:
    """The words behind `kind` on the lines of survey.txt that begin with it."""
    return [line.split()[1:] for line in LISTED.read_text().splitlines() if line.startswith(f"{kind} ")]


def installed() -> list[Path]:
    """A folder for every package, made once."""
    folders = []
    for (name,) in listed("package"):
        folders.append(SURVEY / "packages" / re.split("==", name)[0])
        family.install(name, folders[-1])
    for (name,) in listed("npm"):
        folders.append(SURVEY / "packages" / "npm" / name.replace("/", "-"))
        if not folders[-1].exists():
            folders[-1].mkdir(parents=True)
            npm = ["npm", "install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"]
            subprocess.run([*npm, folders[-1], name], check=True)
    return folders


def networks(folders) -> tuple[dict[str, Path], int]:
    """Finds one file per structure, which is operators in order and extents of weights: ({name: path}, how many
    different files there are)."""
    files, structures = set(), {}
    for path in sorted(path for folder in folders for path in folder.rglob("*.onnx")):
        content = path.read_bytes()
        files.add(hashlib.sha256(content).digest())
        structures.setdefault(survey_samples.structure(content), path)
    return {
        _name(path): path for path in sorted(structures.values(), key=lambda path: (path.stat().st_size, path))
    }, len(files)


def _name(path):
    package = path.relative_to(SURVEY / "packages").parts[0]
    return re.sub(r"[^\w.-]", "_", f"{package}.{path.parent.name}.{path.stem}")


def chosen(path: Path) -> list[str]:
    """The options that a person has to choose for a file."""
    for pattern, *options in listed("choose"):
        if fnmatch.fnmatchcase(str(path), pattern):
            return options
    return []


def told(path: Path, what: str) -> str:
    """Says what survey.txt has of a file: what its "samples" are, or what it "decides"; "" where it says nothing."""
    return next((kind for kind, pattern in listed(what) if fnmatch.fnmatchcase(str(path), pattern)), "")


def revision() -> str:
    """The commit that last changed what compiles, with "+" behind it where files differ from it."""
    git, rooms = ["git", "-C", family.ROOT], ["--", *ROOMS]
    changed, differs = (
        subprocess.run([*git, *words, *rooms], capture_output=True, text=True, check=True).stdout.strip()
        for words in (["log", "-1", "--abbrev=8", "--format=%h"], ["status", "--short", "--untracked-files=no"])
    )
    return changed + "+" * bool(differs)


def tried(name: str, path: Path, folder: Path) -> dict:
    """Reports what one network does before it is timed; `folder` holds the gallery's packages with photographs and a
    voice."""
    work = SURVEY / name
    work.mkdir(parents=True, exist_ok=True)
    samples, package = work / "calib.npz", work / "network.octet"
    report = {"name": name, "bytes": path.stat().st_size, "options": [], "error": "", "compiled by": revision()}
    command = [
        sys.executable,
        Path(__file__).with_name("survey_samples.py"),
        path,
        samples,
        folder,
        told(path, "samples"),
        *chosen(path),
    ]
    made = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    if made.returncode:
        return report | {"error": made.stderr.strip().splitlines()[-1]}
    report |= json.loads(made.stdout.splitlines()[-1])
    report["error"] = report["error"].replace(str(path), path.name)
    if report["error"]:
        return report
    octet = Path(sys.executable).with_name("octet")
    compiled, report["compile"] = _measured(
        [octet, "compile", path, "--calib", samples, "-o", package, "--no-cache", *report["options"]],
        work,
    )
    if not compiled:
        return report | {"error": report["compile"].pop("line")}
    found = {key: compiled[key] for key in ("seconds", "operators", "multiply_adds")}
    # Outputs that are not float have no agreement.
    return report | found | {"agreement": compiled.get("agreement", {})}


def decided(report: dict, path: Path, folder: Path) -> dict:
    """Adds a network's `decisions` to its report, as survey_decisions.py prints them; {} where survey.txt names
    none."""
    decision = told(path, "decides")
    if not decision:
        return report | {"decisions": {}}
    script, package = Path(__file__).with_name("survey_decisions.py"), SURVEY / report["name"] / "network.octet"
    command = [sys.executable, script, path, package, folder, told(path, "samples"), decision, *report["options"]]
    made = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    if made.returncode:
        print(f"{report['name']} decides nothing: {made.stderr.strip().splitlines()[-1]}")
        return report
    return report | {"decisions": json.loads(made.stdout.splitlines()[-1])}


def timed(report: dict, path: Path) -> dict:
    """Adds to a network's report the `milliseconds` of CPU time of all runtimes on one core, interleaved, and the
    reasons of those that `failed`."""
    work = SURVEY / report["name"]
    against = [
        "--threads",
        "1",
        "--rounds",
        "3",
        "--against",
        "onnxruntime,openvino",
        "--model",
        path,
        "--calib",
        work / "calib.npz",
    ]
    command = [Path(sys.executable).with_name("octet"), "bench", work / "network.octet", *against]
    found, bench = _measured(command, work)
    report |= {"timed by": revision(), "bench": bench}
    if not found:
        return report | {"error": bench["line"]}
    best = {runtime: details["cpu_ms"] for runtime, details in found["details"].items()}
    return report | {"milliseconds": best, "failed": found["failed"]}


def _measured(command, work):
    """Runs a command of octet and watches it: (its --json or None, {"wall", "cpu": seconds, "peak": bytes of memory,
    "line": the last one where it failed})."""
    found = work / f"{command[1]}.json"
    found.unlink(missing_ok=True)
    said, begun = work / f"{command[1]}.log", time.monotonic()
    with said.open("w") as log:
        started = subprocess.Popen(
            [*command, "--json", found], stdout=log, stderr=log, preexec_fn=_limited, start_new_session=True
        )
        late = threading.Timer(LIMIT, os.killpg, (started.pid, signal.SIGKILL))
        late.start()
        try:
            _, _, used = os.wait4(started.pid, 0)
        except BaseException:  # The command is in a session of its own, which no signal to this one reaches.
            os.killpg(started.pid, signal.SIGKILL)
            raise
        finally:
            late.cancel()
    wall = time.monotonic() - begun
    line = f"took more than {LIMIT} s" if wall > LIMIT else (said.read_text().strip().splitlines() or [""])[-1]
    figures = {
        "wall": round(wall, 1),
        "cpu": round(used.ru_utime + used.ru_stime, 1),
        "peak": used.ru_maxrss << 10,
        "load": round(os.getloadavg()[0], 1),
        "line": line,
    }
    return json.loads(found.read_text()) if found.exists() else None, figures


def _limited():
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))


def main(words):
    patterns, times = [word for word in words if word != "--no-times"], "--no-times" not in words
    gallery = family.Family("", "scikit-image==0.26.0", "", list, list, len, beside=(survey_samples.SPEECH,)).folder
    found, files = networks(installed())
    print(f"{files} different files, {len(found)} structures")
    for name, path in found.items():
        if patterns and not any(fnmatch.fnmatch(name, pattern) for pattern in patterns):
            continue
        kept = SURVEY / f"{name}.json"
        report = json.loads(kept.read_text()) if kept.exists() else tried(name, path, gallery)
        kept.write_text(json.dumps(report, indent=1))
        if not report["error"] and "decisions" not in report:
            report = decided(report, path, gallery)
            kept.write_text(json.dumps(report, indent=1))
        if times and not report["error"] and "milliseconds" not in report:
            report = timed(report, path)
            kept.write_text(json.dumps(report, indent=1))
        print(time.strftime("%H:%M"), survey_table.table([report]).splitlines()[-1], flush=True)
    reports = [json.loads(path.read_text()) for path in sorted(SURVEY.glob("*.json"))]
    survey_table.written(reports)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    main(sys.argv[1:])
