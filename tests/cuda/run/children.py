"""Stages as child processes: their findings into one file as they come, a time limit each, and what a fault took down
tried again without its cause."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

_CHILD = Path(__file__).with_name("child.py")
_MOST_STARTS = 12  # One stage may start so many.
_LOOK = 0.5  # So many seconds pass between two looks at a process that says nothing.


class Results:
    """results.jsonl and log.txt of a folder. rows: what was found so far."""

    def __init__(self, out: Path):
        out.mkdir(parents=True, exist_ok=True)
        self.out, self.rows, self._lock = out, [], threading.Lock()
        self._log = (out / "log.txt").open("a")

    def add(self, stage: str, **values) -> None:
        with self._lock:
            self.rows.append({"stage": stage, **values})
            with (self.out / "results.jsonl").open("a") as file:
                file.write(json.dumps(self.rows[-1]) + "\n")

    def log(self, text: str) -> None:
        with self._lock:
            self._log.write(text)
            self._log.flush()

    def of(self, stage: str) -> list[dict]:
        return [row for row in self.rows if row["stage"] == stage]


class Beside:
    """Findings that are not written, beside `results`, whose log is theirs."""

    def __init__(self, results: Results):
        self.rows, self.log = [], results.log

    def add(self, stage: str, **values) -> None:
        self.rows.append({"stage": stage, **values})


class Child:
    """A running stage. said: the lines that were not findings."""

    def __init__(self, results: Results | Beside, name: str, stage: str, given: dict, prefix: tuple[str, ...] = ()):
        self.name, self.at, self.done, self.said = name, None, [], []
        self._results, self._lines = results, queue.Queue()
        command = [*prefix, sys.executable, "-u", str(_CHILD), stage, json.dumps(given)]
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def wait(self, until: float, quiet: float) -> str:
        """ "" once it has ended by itself; else why it was ended. until: time.monotonic(). quiet: seconds that one item
        may take."""
        heard = time.monotonic()
        while True:
            gone = self._process.poll() is not None  # What it started may hold its output open for longer.
            try:
                line = self._lines.get(timeout=_LOOK)
            except queue.Empty:
                line = None if gone else ""
            if line is None:
                self.end()
                return ""
            if line and self._take(line):
                heard = time.monotonic()
            if time.monotonic() >= min(until, heard + quiet):
                self.end()
                return "no time was left" if time.monotonic() >= until else f"it hung for {quiet:.0f} s"

    def end(self) -> None:
        """Ends it and what it started."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()

    def drain(self) -> None:
        """Takes what it has said, without waiting."""
        while not self._lines.empty():
            line = self._lines.get()
            if line is not None:
                self._take(line)

    @property
    def status(self) -> int:
        return self._process.returncode

    def _read(self):
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _take(self, line):
        """Whether it is a finding."""
        try:
            value = json.loads(line) if line.startswith("{") else None
        except ValueError:
            value = None
        if not isinstance(value, dict) or not {"at", "item"} & value.keys():
            self.said.append(line.rstrip())
            self._results.log(f"[{self.name}] {line}")
            return False
        if "item" in value:
            self.done.append(value["item"])
            self._results.add(self.name, **value)
            self.at = None
        else:
            self.at = value["at"]
        return True


def run_stage(
    results: Results | Beside,
    name: str,
    stage: str,
    given: dict,
    limit: float,
    quiet: float,
    prefix: tuple[str, ...] = (),
) -> list[str]:
    """Runs a stage to its end or limit (seconds); a process that dies or hangs costs the item it was at. Returns the
    lines that were no findings."""
    until, skip, said = time.monotonic() + limit, list(given.get("skip", ())), []
    for _ in range(_MOST_STARTS):
        child = Child(results, name, stage, given | {"skip": skip}, prefix)
        why = child.wait(until, quiet)
        said += child.said
        skip += child.done
        if not why and child.status == 0:
            return said
        if child.at is not None:
            results.add(name, item=child.at, error=why or f"the process died ({child.status}): {_last(child.said)}")
            skip.append(child.at)
        elif why or not child.done:
            results.add(name, item="", error=why or f"the process died ({child.status}): {_last(child.said)}")
        if time.monotonic() >= until or (child.at is None and not child.done):
            return said
    return said


def _last(lines):
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "it said nothing")
