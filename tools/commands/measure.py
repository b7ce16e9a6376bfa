"""octet measure: run candidates that were compiled elsewhere."""

import click

from ..console import JSON_HELP, say
from ..errors import Command

_AFTER = """\b
CANDIDATES is what `octet tune MODEL --target NAME --export-candidates DIR` wrote, a folder or a .tar.xz.
Measurements are appended beside it: DIR/measurements.jsonl, or FILE.tar.xz.measurements.jsonl. \
Bring them back for `octet tune MODEL --import-measurements DIR`.
Where only NumPy is installed: python -m octet.targets.measure CANDIDATES.
"""


@click.command(cls=Command, epilog=_AFTER)
@click.argument("candidates", metavar="CANDIDATES")
@click.option("--json", "json_path", metavar="FILE", help=JSON_HELP)
def measure(candidates, json_path):
    """Measure exported candidates on this machine; needs a driver, but no compiler.

    Every output is compared with the referee's, byte for byte; times are taken in interleaved rounds against the
    default. What is measured already is not measured again: an interrupted run goes on where it ended.
    """
    from ...targets.measure.carrier import Carrier
    from ...targets.measure.measuring_stages import measure_job
    from ..console import check_json, write_json

    check_json(json_path)
    carrier = Carrier(candidates)
    figures = measure_job(carrier, _show)
    say(
        f"{figures['device']}: {figures['measured']} candidates of {figures['tasks']} kernels measured, "
        f"{figures['failed']} failed, "
        f"{figures['faster']} kernels have a faster one; written to {carrier.measurements}"
    )
    write_json(json_path, figures)


def _show(state):
    best = f"best {state.best:.3f} of the default's time" if state.best is not None else "none faster than the default"
    say(f"{state.number}/{state.of} {state.task}: {state.measured} measured, {state.failed} failed, {best}", err=True)
