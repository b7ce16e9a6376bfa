"""python -m octet.targets.measure DIR: what `octet measure DIR` does, where nothing but NumPy is installed."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import OctetError
from .carrier import Carrier
from .measuring_stages import measure_job

if TYPE_CHECKING:
    from .measuring_stages import Progress


def main(arguments: Sequence[str]) -> int:
    """Measures a job on this machine; returns the exit status."""
    if len(arguments) != 1:
        print("usage: python -m octet.targets.measure DIR_OR_ARCHIVE", file=sys.stderr)
        return 2

    def show(state: "Progress") -> None:
        best = f"{state.best:.3f} of the default's time" if state.best is not None else "none faster than the default"
        print(
            f"{state.number}/{state.of} {state.task}: {state.measured} measured, {state.failed} failed, {best}",
            file=sys.stderr,
        )

    try:
        print(measure_job(Carrier(arguments[0]), show))
    except OctetError as error:
        print(f"octet: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
