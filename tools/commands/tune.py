"""octet tune: measure schedules of a network's kernels and record those that beat the defaults."""

import click

from ..console import JSON_HELP
from ..errors import Command
from .input_options import input_options

_AFTER = """\b
MODEL is an .onnx (with --calib) or a package that compile-model wrote.
Every record is committed as it is found: an interrupted session loses nothing, and the next one goes on where it ended.
compile-model --db FILE_OR_URL then builds with the records. \
Workers of a fleet: octet worker --tracker HOST:PORT --key KEY.
For a machine that cannot be reached: --export-candidates DIR, octet measure DIR there, \
--import-measurements DIR; and again for the next round.
"""


@click.command(cls=Command, epilog=_AFTER)
@click.argument("model", metavar="MODEL")
@click.option("--calib", metavar="DATA.npz", help="Calibration samples, for an .onnx; a few are enough to tune.")
@click.option(
    "--budget",
    metavar="TIME",
    help="Time to measure, e.g. 5m, 90s, 1h; an .onnx is calibrated before [default: 5m, or none with --trials].",
)
@click.option("--trials", type=click.IntRange(min=1), help="Most schedules to measure per kernel.")
@click.option(
    "--db",
    metavar="FILE_OR_URL",
    help=(
        "Where records go: an SQLite file or a postgresql:// URL [default: the user's, octet/tuning.db in "
        "$XDG_STATE_HOME]."
    ),
)
@click.option("--target", metavar="NAME", help="native (default), or a name of `octet targets`.")
@input_options
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Most cores a kernel is measured with; it is measured with one, too [default: all].",
)
@click.option("--tracker", metavar="HOST:PORT", help="Measure on the workers of this TVM RPC tracker.")
@click.option("--key", help="The workers' key at the tracker.")
@click.option(
    "--export-candidates",
    "export_to",
    metavar="DIR",
    help=(
        "Measure nothing; write compiled candidates for `octet measure` elsewhere, to a folder or a FILE.tar.xz; "
        "--trials per kernel [default: 16]."
    ),
)
@click.option(
    "--import-measurements",
    "import_from",
    metavar="DIR",
    help="Learn from what `octet measure` appended beside these candidates, before a further export.",
)
@click.option("--json", "json_path", metavar="FILE", help=JSON_HELP)
def tune(json_path, db, export_to, import_from, **options):
    """Tune a network's kernels: find schedules that beat the defaults on this machine or on a fleet."""
    from ...tuning.database import opened
    from ...tuning.place import place_of
    from ..console import check_json, out, say, write_json
    from ..tuning.display import figures, live, print_session
    from ..tuning.request import TuningRequest
    from ..tuning.run_session import run_session

    check_json(json_path)
    request = TuningRequest(**options)
    with opened(place_of(db)) as database:
        if export_to is not None or import_from is not None:
            from ..tuning.carry import carry, print_carried

            found = carry(request, export_to, import_from, database, lambda text: say(text, err=True))
            print_carried(out(), found, export_to, import_from)
            return write_json(json_path, found)
        with live() as progress:
            session = run_session(request, database, progress)
        print_session(out(), session, database.shown)
        write_json(json_path, figures(session))
