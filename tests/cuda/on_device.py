"""Everything that a machine with a GPU can tell about Octet, in one command of a few minutes.

usage: python tests/cuda/on_device.py FOLDER --out DIR [--stages cases,tiles] [--seconds 470]

FOLDER is what `make gpu-prepare` wrote; it holds a copy of this command. Needs CPython, NumPy and the driver; PyTorch,
Triton, ncu and compute-sanitizer are used where they are. Neither TVM nor a compiler. Findings are appended to
DIR/results.jsonl as they come, a line each, and a short table is printed last. Every stage is a process of its own with
a time limit: what is right comes first, then what is compared with PyTorch, then the rest. While nothing is timed,
PyTorch compiles for later."""

import argparse
import json
import lzma
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "run"))
from children import Beside, Child, Results, run_stage
from report import table

SECONDS = 470  # All stages have this long together.
_LEAST = 5  # No stage is begun with fewer seconds left.
_FAULTY = 99  # It is the exit status of compute-sanitizer where it found something.


@dataclass(frozen=True)
class Stage:
    """limit: seconds. quiet: that one item may take. tool: what it runs under. timed: whether nothing else may use the
    device."""

    name: str
    limit: float
    quiet: float
    tool: str = ""
    timed: bool = False


STAGES = (
    Stage("machine", 60, 40),
    Stage("cases", 75, 20),
    Stage("replays", 30, 20),
    Stage("memcheck", 50, 45, "compute-sanitizer"),
    Stage("ours", 40, 20, timed=True),
    Stage("networks", 150, 60, timed=True),
    Stage("products", 70, 30, timed=True),
    Stage("tiles", 50, 20, timed=True),
    Stage("profile", 25, 15, timed=True),
    Stage("micro", 20, 10, timed=True),
    Stage("ncu", 45, 45, "ncu", timed=True),
    Stage("tuning", 60, 40, timed=True),
    Stage("racecheck", 40, 40, "compute-sanitizer"),
)


class Run:
    """One call."""

    def __init__(self, folder: Path, out: Path, seconds: float):
        self.folder, self.results, self.ends = folder, Results(out), time.monotonic() + seconds
        self.patience = max(
            1.0, seconds / SECONDS
        )  # A longer call gives every stage more: an emulated device is slow, and may share its CPU.
        self.plan = json.loads((folder / "plan.json").read_text())
        self.seconds: dict[str, float] = {}
        self.warm: Child | None = None
        self._unpacked = tempfile.TemporaryDirectory(prefix="octet-on-device-")
        for path in folder.glob("*.octet.xz"):
            Path(self._unpacked.name, path.stem).write_bytes(lzma.decompress(path.read_bytes()))

    def given(self, **more) -> dict:
        return {
            "folder": str(self.folder),
            "out": str(self.results.out),
            "unpacked": self._unpacked.name,
            **self.plan.get("options", {}),
            **more,
        }

    def stage(self, stage: Stage) -> None:
        left = self.ends - time.monotonic()
        if left < _LEAST:
            self.results.add(stage.name, item="", error="no time was left")
            self.seconds[stage.name] = 0.0
            return
        started = time.monotonic()
        if stage.timed:
            self.end_warm()
        do = self._under_tool if stage.tool else self._alone
        do(stage, min(stage.limit * self.patience, left))
        self.seconds[stage.name] = time.monotonic() - started

    def begin_warm(self) -> None:
        """PyTorch compiles into its caches beside the stages that time nothing."""
        self.warm = Child(self.results, "warm", "warm", self.given())

    def end_warm(self) -> None:
        if self.warm is not None:
            self.warm.drain()
            self.warm.end()
            self.warm = None

    def _alone(self, stage, limit):
        run_stage(self.results, stage.name, stage.name, self.given(), limit, stage.quiet * self.patience)

    def _under_tool(self, stage, limit):
        if shutil.which(stage.tool) is None:
            self.results.add(stage.name, item=stage.tool, error="is not installed here")
            return
        until = time.monotonic() + limit
        for inner, only in self.plan[stage.name].items():
            left = until - time.monotonic()
            if only and left > _LEAST:
                self._tool(stage, inner, only, left)

    def _tool(self, stage, inner, only, limit):
        report = self.results.out / f"ncu-{inner}.csv"
        commands = {
            "memcheck": ("compute-sanitizer", "--tool", "memcheck", "--error-exitcode", str(_FAULTY)),
            "racecheck": ("compute-sanitizer", "--tool", "racecheck", "--error-exitcode", str(_FAULTY)),
            "ncu": (
                "ncu",
                "--clock-control",
                "none",
                "--set",
                "full",
                "--csv",
                "--page",
                "details",
                "--log-file",
                str(report),
                "--launch-count",
                str(2 * len(only)),
            ),
        }
        inside = Beside(self.results)
        said = run_stage(
            inside, stage.name, inner, self.given(only=only, timed=False), limit, limit, commands[stage.name]
        )
        wrong = [row for row in inside.rows if row.get("error")]
        told = [line[9:].strip() for line in said if line.startswith("=========")]
        summary = next((line for line in reversed(told) if "SUMMARY" in line), "")
        faults = bool(summary) and "0 errors" not in summary and "0 hazards" not in summary
        finding = {"items": len(inside.rows), "summary": summary or f"{len(inside.rows)} items"}
        if wrong or faults or len(inside.rows) < len(only):
            finding |= {"error": f"{summary}; {len(inside.rows)} of {len(only)} items, {wrong[:2]}", "lines": told[:60]}
        self.results.add(stage.name, item=inner, **finding)


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--stages", help="comma-separated; default: all of " + ",".join(stage.name for stage in STAGES))
    parser.add_argument(
        "--seconds",
        type=float,
        default=SECONDS,
        help="of the whole call; more than the default gives every stage as much more",
    )
    parser.add_argument("--no-warm", action="store_true", help="PyTorch does not compile beside the first stages")
    options = parser.parse_args(arguments)
    names = options.stages.split(",") if options.stages else [stage.name for stage in STAGES]
    unknown = [name for name in names if name not in [stage.name for stage in STAGES]]
    if unknown or not (options.folder / "plan.json").is_file():
        print(
            f"on_device: there is no stage {unknown[0]}"
            if unknown
            else f"on_device: {options.folder} is no folder that `make gpu-prepare` wrote",
            file=sys.stderr,
        )
        return 2
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):  # A second call finds what the first compiled.
        os.environ.setdefault(name, f"/tmp/octet-{name.split('_')[0].lower()}")
    run = Run(options.folder.resolve(), options.out.resolve(), options.seconds)
    try:
        for stage in STAGES:
            if stage.name not in names:
                continue
            run.stage(stage)
            print(f"{stage.name}: {run.seconds[stage.name]:.0f} s", flush=True)
            if stage.name == "machine":
                if any(row.get("error") for row in run.results.of("machine")):
                    break  # Nothing that follows would mean anything.
                if "networks" in names and not options.no_warm:
                    run.begin_warm()
    finally:
        run.end_warm()
    text = table(run.results.rows, run.seconds)
    (run.results.out / "table.txt").write_text(text + "\n")
    print(text, flush=True)
    return 1 if any(row.get("error") for row in run.results.rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
