"""octet bench: latency, alone or against other runtimes, and where the time goes."""

import click

from ..console import JSON_HELP
from ..errors import Command
from .input_options import input_options


@click.command(cls=Command)
@click.argument("model", metavar="MODEL")
@click.option("--threads", type=click.IntRange(min=1), help="Cores to use, for the peers too [default: all].")
@click.option(
    "--against", metavar="NAMES", help="Peers: onnxruntime, openvino, or both with a comma; needs --model and --calib."
)
@click.option(
    "--model",
    "onnx_path",
    metavar="MODEL.onnx",
    help="The fp32 network: timed in fp32 as well, and given to the peers.",
)
@click.option("--calib", metavar="DATA.npz", help="Calibration samples for the peers' int8 model.")
@input_options
@click.option("--rounds", type=click.IntRange(min=1), default=8, show_default=True, help="Interleaved rounds.")
@click.option(
    "--streams",
    type=click.IntRange(min=1),
    help=(
        "Measure throughput as well: with so many runs at one time, and with one, by callers of run and by run_many; "
        "each on --threads cores [default: cores / streams]; peers with so many, in their throughput modes."
    ),
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True, max=3600),
    default=3.0,
    show_default=True,
    help="How long each of the two is measured.",
)
@click.option(
    "--varying",
    type=click.IntRange(min=2, max=100000),
    metavar="N",
    help=(
        "Of a package of several shapes: a stream of so many requests of varying extents, cut from --calib, as well; "
        "peers with the file's dynamic shapes."
    ),
)
@click.option("--profile", is_flag=True, help="Time every kernel, against the measured peak of this machine.")
@click.option("--peak", is_flag=True, help="Measure the peak of this machine: int8, fp32, L2, L3 and memory.")
@click.option("--json", "json_path", metavar="FILE", help=JSON_HELP)
def bench(json_path, **options):
    """Measure latency: MODEL is a package, or an .onnx that is run in fp32.

    All candidates are timed in interleaved rounds of one run; the figures are medians, and the ratio is candidate /
    ours.
    """
    from types import SimpleNamespace

    from ..benchmarking.benchmark import run_benchmark
    from ..console import check_json, out, write_json
    from .bench_tables import print_benchmark

    check_json(json_path)
    report = run_benchmark(SimpleNamespace(**options), out().print)
    print_benchmark(out(), report)
    write_json(json_path, report)
