"""python -m octet.targets.measure.child PARENT [number of a candidate to leave out]...

Reads a batch from stdin, measures it, and says on stdout what it is at ({"at": candidate}), why it gives up ({"error":
...}) or, at the end, the figures:
one JSON value per line. Ends with the process PARENT."""

import json
import os
import sys
from collections.abc import Sequence

from ..parent import die_with_parent
from .batch import Batch
from .rounds import measure


def main(arguments: Sequence[str]) -> int:
    """Reads a Batch from stdin and writes what it measures to stdout, a line of JSON each; returns the exit status."""
    die_with_parent(int(arguments[0]))
    # What libraries print must not mix with the protocol.
    protocol = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(text: str) -> None:
        print(text, file=protocol, flush=True)

    batch = Batch.unpack(sys.stdin.buffer.read())
    try:
        say(measure(batch, {int(text) for text in arguments[1:]}, lambda at: say(json.dumps({"at": at}))).as_json())
    except Exception as error:  # Whatever it was, the parent leaves this candidate out.
        say(json.dumps({"error": _line(error)}))
        return 1
    return 0


def _line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(status)  # After a fault a driver may never finish its own clean-up.
