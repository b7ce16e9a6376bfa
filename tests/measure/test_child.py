"""The process that measures a batch: each line of its stdout is JSON, whatever else the code in it prints."""

import json
import os
import subprocess
import sys

from octet.targets.measure.batch import Batch
from octet.targets.measure.job import Candidate, Input, MeasuringTask, Output, digest

CODE = b"no library"
NOISY = """
import os, sys
from octet.targets.measure import child
from octet.targets.measure.batch import Figures

def measure(batch, skip, say):
    print("a library in Python", flush=True)
    os.write(1, b"one in C")
    say(2)
    return Figures({}, {0: f"{batch.task.name} without {sorted(skip)}"})

child.measure = measure
sys.exit(child.main(sys.argv[1:]))
"""


def run(*arguments):
    """(exit status, what the lines of its stdout hold, stderr)."""
    candidate = Candidate({}, digest(CODE), "run", (), (("input", 0), ("output", 0)), grid=(1, 1, 1))
    output = Output(64, "int8", 4, 16, 10, digest(b""))
    task = MeasuringTask("key", "a kernel", 1, {}, (Input.of(1, 64, "int8"),), output, (candidate,) * 4)
    data = Batch("cpu", task, {digest(CODE): CODE}, 1).pack()
    ended = subprocess.run(
        [sys.executable, *arguments[:2], str(os.getpid()), *arguments[2:]], input=data, capture_output=True
    )
    return ended.returncode, [json.loads(line) for line in ended.stdout.splitlines()], ended.stderr.decode()


def test_a_default_that_cannot_be_loaded():
    status, (at, said), _ = run("-m", "octet.targets.measure.child")
    assert status == 1 and at == {"at": 0} and "cannot be loaded" in said["error"] and "\n" not in said["error"]


def test_what_else_is_printed_does_not_mix_with_the_protocol():
    status, (at, figures), errors = run("-c", NOISY, "3", "1")
    assert status == 0 and at == {"at": 2} and figures["errors"] == {"0": "a kernel without [1, 3]"}
    assert errors == "a library in Python\none in C"
