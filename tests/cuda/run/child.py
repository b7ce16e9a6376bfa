"""python child.py STAGE {"folder", "out", "skip", "only", ...}: one stage in a process of its own, which a fault of the
device may end.

Says on stdout, a JSON value per line: {"at": item} before each item, {"item": name, ...} with what was found. Items in
`skip` are left out."""

import importlib
import json
import os
import sys
import traceback
from pathlib import Path

STAGES = {
    "machine": "stage_machine",
    "cases": "stage_cases",
    "tiles": "stage_tiles",
    "replays": "stage_replays",
    "micro": "stage_micro",
    "ours": "stage_ours",
    "profile": "stage_profile",
    "products": "stage_products",
    "networks": "stage_networks",
    "warm": "stage_networks",
    "tuning": "stage_tuning",
}
FAULTED = 3  # With this exit status the device's context is of no more use, and the items left need another process.


class Work:
    """What a stage's `run` gets. folder: as prepared. out: for files of its own. options: the rest."""

    def __init__(self, stage: str, given: dict):
        self.stage, self.folder, self.out, self.options = stage, Path(given["folder"]), Path(given["out"]), given
        self._skip, self._only = set(given.get("skip", ())), given.get("only")
        self._protocol = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)  # What libraries print must not mix with it.

    def wanted(self, item: str) -> bool:
        return item not in self._skip and (self._only is None or item in self._only)

    def at(self, item: str) -> None:
        self._say({"at": item})

    def found(self, item: str, **values) -> None:
        self._say({"item": item, **values})

    def each(self, items: dict, do) -> None:
        """do(item's value) -> dict of findings, for every wanted item. What raises is an item's error; after a fault of
        the device the process ends."""
        for name, value in items.items():
            if not self.wanted(name):
                continue
            self.at(name)
            try:
                self.found(name, **do(value))
            except Exception as error:
                traceback.print_exc()
                self.found(name, error=f"{type(error).__name__}: {error}"[:500])
                if "CUDA" in str(error):
                    sys.stderr.flush()
                    os._exit(FAULTED)

    def _say(self, value):
        print(json.dumps(value), file=self._protocol, flush=True)


def main(arguments) -> int:
    given = json.loads(arguments[1])
    # Processes that a stage starts find the modules by it.
    os.environ["PYTHONPATH"] = str(Path(given["folder"], "lib"))
    sys.path[:0] = [str(Path(given["folder"], "lib")), str(Path(__file__).parent)]
    importlib.import_module(STAGES[arguments[0]]).run(Work(arguments[0], given))
    return 0


if __name__ == "__main__":
    try:
        status = main(sys.argv[1:])
    except Exception:
        traceback.print_exc()
        status = 1
    sys.stderr.flush()
    os._exit(status)  # After a fault a driver may never finish its own clean-up.
