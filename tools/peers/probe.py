"""Whether a peer can run a model, found out in a process of its own: runtimes crash on models that they do not expect."""

import subprocess
import sys
from pathlib import Path

import numpy as np

SECONDS = 600  # to load a model and run it once


def probe(peer: str, path, feed: dict, threads: int, folder: Path) -> str | None:
    """None if `peer` (of `peer_openers.OPENERS`) loads `path` and runs `feed`, else why not, in one line. folder: for the feed's file."""
    inputs = folder / "feed.npz"
    np.savez(inputs, **feed)
    try:
        done = subprocess.run([sys.executable, "-m", __name__, peer, str(path), str(inputs), str(threads)], capture_output=True, text=True, errors="replace", timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return f"no answer within {SECONDS} s"
    if done.returncode == 0:
        return None
    if done.returncode < 0:
        return f"crashed (signal {-done.returncode})"
    return "cannot load: " + (done.stdout.strip().splitlines() or [f"status {done.returncode}"])[-1]


def first_line(error: Exception) -> str:
    """The first line of an error that says something, or its class."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:160] if lines else type(error).__name__


def main(peer, path, inputs, threads):
    from .openers import OPENERS

    with np.load(inputs) as file:
        feed = dict(file)
    try:
        OPENERS[peer](path, feed, int(threads))()
    except Exception as error:  # whatever the runtime raises
        print(first_line(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
