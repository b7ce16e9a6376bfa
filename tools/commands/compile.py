"""compile-model, and octet compile: an ONNX network becomes a package."""

import click

from ..building.calibration_cache import cache_options
from ..console import JSON_HELP
from ..errors import TARGET_MISSED, Command
from .input_options import input_options
from .ir_options import ir_options, say_stopped
from .metric_options import METRIC_HELP, output_names
from .recipe_options import precision_options

_AFTER = """\b
DATA.npz holds one array per model input, named as the input, samples on the first axis;
`labels` beside them where a metric needs it.
Exit status: 0 done; 2 the input is wrong; 3 --max-drop was exceeded (the package is written); 1 a bug.
"""


@click.command("compile", cls=Command, epilog=_AFTER, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", metavar="MODEL.onnx")
@click.option(
    "--calib",
    metavar="DATA.npz",
    help="Calibration samples; a few hundred are plenty. A network that comes quantised needs none.",
)
@click.option("-o", "--output", required=True, metavar="OUT.octet", help="The package to write.")
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="NAME",
    help="native (default), or a name of `octet targets`; may be repeated.",
)
@input_options
@click.option(
    "--threads", type=click.IntRange(min=1), help="Cores for calibration and for the measured latency [default: all]."
)
@click.option("--validate", metavar="DATA.npz", help="Labelled data: measure the accuracy of fp32 and int8.")
@click.option("--metric", help=f"What to measure [default: top1]: {METRIC_HELP}")
@output_names()
@click.option(
    "--max-drop",
    type=click.FloatRange(min=0),
    metavar="FRACTION",
    help="Largest loss against fp32, relative to the fp32 figure, e.g. 0.01.",
)
@click.option(
    "--budget",
    metavar="TIME",
    help=(
        "For the search that --max-drop starts: 90s, 10m, 2h [default: none]; killed, it goes on where it was. "
        "Without --max-drop for what is tried by default [default: 60s]."
    ),
)
@click.option(
    "--max-float",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    metavar="FRACTION",
    help="Of the multiply-adds that the search may leave in float.",
)
@click.option(
    "--repair/--no-repair",
    default=True,
    show_default=True,
    help="Rescale channels, correct biases and learn roundings where that lowers the error.",
)
@click.option(
    "--report",
    metavar="REPORT.html",
    help="Write what happened to every layer, with plots, as one self-contained page.",
)
@click.option(
    "--derivation",
    metavar="FILE",
    help=(
        "Write what was learnt from the samples: statistics, the search's choices, roundings. octet rebuild makes the "
        "package again from it."
    ),
)
@click.option(
    "--referee", is_flag=True, help="Compare the self-test with plain NumPy whatever that takes, and report it."
)
@click.option(
    "--self-check",
    "self_check",
    is_flag=True,
    help="Every run checks its own sums: a flipped bit is an error, not a wrong answer (docs/selfcheck.md).",
)
@click.option(
    "--count-clips",
    "count_clips",
    is_flag=True,
    help="Every run counts clipped values: inputs of another kind than calibration's are flagged (docs/selfcheck.md).",
)
@click.option(
    "--io",
    type=click.Choice(["float", "int8"]),
    default="float",
    show_default=True,
    help="int8: also code for callers that quantise, for octet export --io int8 (docs/deploy.md).",
)
@click.option(
    "--calibrator",
    help="mse (default), max, entropy, percentile, or auto: the one with the least output error on held-out samples.",
)
@click.option("--percentile", type=float, help="For --calibrator percentile [default: 99.99].")
@click.option("--activations", help="affine (default) or symmetric.")
@click.option("--weights", help="per-channel (default) or per-tensor.")
@precision_options
@click.option(
    "--policy",
    type=click.Choice(["fastest", "int8", "float"]),
    default="fastest",
    show_default=True,
    help=(
        "fastest: float where int8 would be slower, measured with --trials, else by a cost model; int8: all that can "
        "be; float: nothing."
    ),
)
@click.option(
    "--trials",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Schedules to measure per kernel before building (see octet tune).",
)
@click.option(
    "--db",
    metavar="FILE_OR_URL",
    help="Tuning records to apply [default: none; with --trials the user's, octet/tuning.db in $XDG_STATE_HOME].",
)
@cache_options
@ir_options
@click.option("--json", "json_path", metavar="FILE", help=JSON_HELP)
def compile_command(json_path, dump_ir, stop_after, verify_ir, **options):
    """Compile a trained fp32 ONNX network to a fast int8 package."""
    from ...passes.instruments import instruments
    from ..compilation import compile_to_package
    from ..console import check_json, out, write_json
    from ..request import Request
    from .printed_tables import print_compilation

    check_json(json_path)
    with instruments(dump_ir, stop_after, verify_ir) as seen:
        report = compile_to_package(Request(**options))
    if seen.reached:
        say_stopped(seen)
        return 0
    print_compilation(out(), report)
    write_json(json_path, report)
    return TARGET_MISSED if report.get("target_missed") else 0
