"""octet quantize: stop at the hub, and write it as ONNX QDQ for any other runtime."""

import click

from ..building.calibration_cache import cache_of, cache_options, say_where_from
from ..errors import Command
from .input_options import input_options
from .recipe_options import precision_options


@click.command(cls=Command)
@click.argument("model", metavar="MODEL.onnx")
@click.option("--calib", required=True, metavar="DATA.npz", help="Calibration samples; a few hundred are plenty.")
@click.option("-o", "--output", required=True, metavar="MODEL.qdq.onnx", help="The ONNX QDQ model to write.")
@input_options
@click.option("--threads", type=click.IntRange(min=1), help="Cores for calibration [default: all].")
@click.option("--calibrator", help="mse (default), max, entropy or percentile.")
@click.option("--percentile", type=float, help="For --calibrator percentile [default: 99.99].")
@click.option("--activations", help="affine (default) or symmetric.")
@click.option("--weights", help="per-channel (default) or per-tensor.")
@precision_options
@cache_options
def quantize(model, calib, output, given, threads, cache, no_cache, **recipe):
    """Quantise a network and write it as ONNX QDQ."""
    from types import SimpleNamespace

    from ...targets.writing import check_writable
    from ..console import out
    from ..data import read_samples
    from ..phases import phases
    from ..building.recipes import recipe_of

    check_writable(output)
    from ...passes.export.onnx_qdq import export_qdq
    from ..building.api import quantize as quantize_model

    made, kept = recipe_of(SimpleNamespace(**recipe)), cache_of(cache, no_cache)
    with phases() as (phase, display):
        phase("import")
        network = given.load(model, calib)
        samples, _ = read_samples(calib, network)
        quantized = quantize_model(network, samples, made, threads=threads, phase=phase, progress=display.update, cache=kept)
        phase("export")
        export_qdq(quantized, output)
    say_where_from(kept)
    int8 = sum(d.dtype == "int8" for d in quantized.decisions)
    out().print(f"{output}: {int8} operators in int8, {len(quantized.decisions) - int8} in float, {len(next(iter(samples.values())))} calibration samples")
