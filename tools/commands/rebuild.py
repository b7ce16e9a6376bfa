"""octet rebuild: a package made again from its sources, compared byte for byte."""

import click

from ..console import JSON_HELP
from ..errors import Command


@click.command(cls=Command)
@click.argument("package", metavar="OUT.octet")
@click.option("--model", required=True, metavar="MODEL.onnx", help="The network that it was made from.")
@click.option(
    "--statistics",
    metavar="STATS",
    help=(
        "Of octet calibrate, from the same samples, or what compile-model --derivation wrote. A network that comes "
        "quantised needs none."
    ),
)
@click.option(
    "--calib",
    metavar="DATA.npz",
    help="The calibration samples, of a package made with --count-clips: what is usual is learnt from them again.",
)
@click.option("--db", metavar="FILE_OR_URL", help="The tuning records that were applied, if any were.")
@click.option("--threads", type=click.IntRange(min=1), help="Cores to use [default: all].")
@click.option("--json", "json_path", metavar="FILE", help=JSON_HELP)
def rebuild(package, model, statistics, calib, db, threads, json_path):
    """Make a package again from its sources and say whether every byte is the same. None of its code is run."""
    from ...targets.errors import OctetError
    from ..building import rebuilding
    from ..console import check_json, say, write_json
    from ..reporter import reporting

    check_json(json_path)
    with reporting() as reporter:
        comparison = rebuilding.rebuild(package, model, statistics, reporter, db, threads, calib)
    for name in comparison.same:
        say(f"{name}: the same, byte for byte")
    for name, why in comparison.left_out.items():
        say(f"{name}: not compared, {why}")
    for name, how in comparison.different.items():
        say(f"{name}: {how}")
    write_json(
        json_path, {"same": list(comparison.same), "different": comparison.different, "left_out": comparison.left_out}
    )
    if comparison.different:
        raise OctetError(
            f"{package}: is not what these sources become ({', '.join(comparison.different)}); see that sources, "
            "options and versions are those of its maker"
        )
    say(f"{package}: is what {model} becomes")
