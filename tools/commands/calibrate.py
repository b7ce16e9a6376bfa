"""octet calibrate: statistics of a network's tensors on disk, in shards if need be; `octet compile --calib` takes them
in place of samples."""

import click

from ..building.calibration_cache import cache_of, cache_options, say_where_from
from ..errors import Command
from .input_options import input_options


@click.command(cls=Command)
@click.argument("model", metavar="MODEL.onnx", required=False)
@click.option("--calib", metavar="DATA.npz", help="Calibration samples.")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="STATS.npz",
    help="The statistics to write; fresh ones are kept, stale ones replaced.",
)
@click.option(
    "--shard",
    metavar="I/N",
    help="Only the I-th of N parts of the samples, 1 to N: for machines that work side by side.",
)
@click.option(
    "--merge",
    "shards",
    multiple=True,
    metavar="STATS.npz",
    help="Merge shards, once per file; exact, in any order. Needs no MODEL.",
)
@input_options
@click.option("--threads", type=click.IntRange(min=1), help="Cores to use [default: all].")
@cache_options
def calibrate(*, model, calib, output, shard, shards, given, threads, cache, no_cache):
    """Measure the ranges and histograms of a network's tensors."""
    from pathlib import Path

    from ...passes.calibrate import store
    from ...targets.errors import OctetError
    from ...targets.writing import check_writable
    from ..console import say

    check_writable(output)
    if shards:
        if model is not None or calib is not None or shard is not None:
            raise OctetError("--merge: takes statistics only; leave MODEL, --calib and --shard out")
        identity, statistics = store.merge(shards)
        store.save(output, identity, statistics)
        say(f"{output}: {len(statistics)} tensors, {identity.samples} samples from {len(shards)} shards")
        return
    if model is None or calib is None:
        raise OctetError("calibrate needs MODEL.onnx and --calib DATA.npz, or --merge STATS.npz for every shard")
    from ..building.calibration import measure_statistics

    kept = cache_of(cache, no_cache)
    identity, count, note = measure_statistics(
        model, calib, output, parse_shard(shard), given, threads, Path(output).is_file(), kept
    )
    say_where_from(kept)
    say(f"{output}: {count} tensors, {identity.samples} samples{note}")


def parse_shard(text) -> tuple[int, int]:
    """Reads which shard of how many is meant.

    (index from 0, parts) of "2/4". Raises OctetError."""
    from ...targets.errors import OctetError

    if text is None:
        return 0, 1
    index, _, parts = text.partition("/")
    if not (index.isdigit() and parts.isdigit() and 1 <= int(index) <= int(parts)):
        raise OctetError(f"--shard {text}: write I/N with I from 1 to N, e.g. 1/4")
    return int(index) - 1, int(parts)
