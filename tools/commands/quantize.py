"""octet quantize: stop at the hub, and write it as ONNX QDQ for any other runtime."""

import click

from ..building.calibration_cache import cache_of, cache_options, say_where_from
from ..errors import Command
from .input_options import input_options
from .recipe_options import precision_options


@click.command(cls=Command)
@click.argument("model", metavar="MODEL.onnx")
@click.option(
    "--calib",
    metavar="DATA.npz",
    help="Calibration samples; a few hundred are plenty. A network that comes quantised needs none.",
)
@click.option("-o", "--output", required=True, metavar="MODEL.qdq.onnx", help="The ONNX QDQ model to write.")
@input_options
@click.option("--threads", type=click.IntRange(min=1), help="Cores for calibration [default: all].")
@click.option("--calibrator", help="mse (default), max, entropy or percentile.")
@click.option("--percentile", type=float, help="For --calibrator percentile [default: 99.99].")
@click.option("--activations", help="affine (default) or symmetric.")
@click.option("--weights", help="per-channel (default) or per-tensor.")
@precision_options
@click.option(
    "--codes",
    type=click.Choice(["uint8", "int8"]),
    default="uint8",
    show_default=True,
    help="Type of quantised activations in the file; TensorRT wants int8 (with --activations symmetric).",
)
@cache_options
def quantize(model, calib, output, given, threads, codes, cache, no_cache, **recipe):
    """Quantise a network and write it as ONNX QDQ."""
    from types import SimpleNamespace

    from ...targets.writing import check_writable
    from ..building.recipes import recipe_of
    from ..console import say
    from ..data import check_calib, read_samples, warn_of_constant
    from ..reporter import reporting

    check_writable(output)
    from ...passes.calibrate.held_out import for_ranges
    from ...passes.export.onnx_qdq import export_qdq
    from ..building.options import BuildOptions
    from ..building.quantizing import quantize_model

    made, kept = recipe_of(SimpleNamespace(**recipe)), cache_of(cache, no_cache)
    with reporting() as reporter:
        reporter.phase("import")
        network = given.load(model, calib)
        check_calib(calib, model, network)
        samples = None if calib is None else read_samples(calib, network)[0]
        if samples is not None and not network.comes_quantised:
            warn_of_constant(calib, samples)
            samples = for_ranges(samples, network)
        quantized = quantize_model(network, samples, BuildOptions(made, threads=threads, cache=kept), reporter)
        reporter.phase("export")
        export_qdq(quantized, output, codes)
    say_where_from(kept)
    counts = "{} operators in int8, {} in float".format(*_counts(quantized))
    source = "as the file says"
    if not network.comes_quantised and samples is not None:
        source = f"{len(next(iter(samples.values())))} calibration samples"
    say(f"{output}: {counts}, {source}")


def _counts(quantized):
    """(operators in int8, in float): as decided, or of the integer graph of a network that came with its decisions."""
    from ...passes.realize.realize import realize

    layers = quantized.decisions or realize(quantized.module).layers
    int8 = sum(layer.dtype == "int8" for layer in layers)
    return int8, len(layers) - int8
