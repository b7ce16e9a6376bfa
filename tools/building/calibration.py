"""Statistics of a model file and a data file, and hubs made of stored ones."""

from functools import partial

import numpy as np

from ...passes.annotate import Recipe
from ...passes.calibrate import store
from ...passes.calibrate.cache import StatisticsCache
from ...passes.calibrate.held_out import for_ranges, held_out
from ...passes.calibrate.identity import network_identity
from ...passes.calibrate.quantize import Quantized
from ...passes.pipeline import canonicalize
from ...passes.sensitivity.configuration import measured_tensors, sites_of
from ...passes.sensitivity.derivation import replayed
from ...passes.sensitivity.libraries import Libraries
from ...passes.sensitivity.observe import statistics_of
from ...targets.batches import batch_of
from ...targets.errors import DataError
from ..data import read_samples
from ..reporter import reporting


def measure_statistics(
    model_path, calib, output, shard, given, threads, exists: bool, cache: StatisticsCache | None = None
) -> tuple:
    """(identity, tensors, what to tell the user). shard: (index from 0, parts). A file that exists and is fresh is left
    as it is."""
    with reporting() as reporter:
        reporter.phase("import")
        model = given.load(model_path, calib, several=True)
        samples = _fitted(calib, model, shard)
        canonical = canonicalize(model)
        identity, note = network_identity(canonical.module).with_data(samples), ""
        if exists and store.holds_statistics(output):
            reason = store.identity_in(output).stale(identity)
            if reason is None:
                return identity, len(store.load(output)[1]), ", fresh: nothing was run"
            note = f", measured again: {reason}"
        reporter.phase("calibrate")
        tensors = measured_tensors([sites_of(canonical.module, Recipe())])
        statistics = measuring(cache)(
            canonical.module, tensors, samples, Libraries().executor_factory(threads), reporter.progress
        )
        store.save(output, identity, statistics)
    return identity, len(statistics), note


def _fitted(calib, model, shard):
    """The samples of a shard that ranges come from: all that compile-model does not hold out. Only the shard is
    read."""
    if shard == (0, 1):
        return for_ranges(read_samples(calib, model)[0], model)
    batch = batch_of(model.inputs)

    def rows(count):
        fit = np.flatnonzero(~held_out(count, batch))
        return fit[rows_of_shard(shard, batch, calib, len(fit))]

    return read_samples(calib, model, rows)[0]


def measuring(cache: StatisticsCache | None):
    """`statistics_of`, or the same by way of a cache."""
    return statistics_of if cache is None else partial(cache.measured, statistics_of)


def rows_of_shard(shard, batch: int, where, count: int) -> np.ndarray:
    """The samples of a shard (index from 0, parts) out of `count`: whole batches, neighbours in the file, so that
    nothing else need be read."""
    index, parts = shard
    runs = -(-count // batch)
    first, last = (min(runs * i // parts * batch, count) for i in (index, index + 1))
    if first == last and count:
        raise DataError(f"{where}: has no samples for shard {index + 1} of {parts}; make fewer shards")
    return np.arange(first, last)


def hub_from(path, model, recipe: Recipe) -> tuple[Quantized, int]:
    """Makes the hub without measuring the network again.

    (the hub from stored statistics, or from what a search derived; their number of samples); of several shapes, the
    one that they are of comes first. Raises DataError where they are of another model."""
    return replayed(path, canonicalize(model.led_by(store.identity_in(path).shapes)), recipe)
