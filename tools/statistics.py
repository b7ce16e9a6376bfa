"""Statistics of a model file and a data file, and hubs made of stored ones."""

from ..passes.annotate import Recipe
from ..passes.calibrate.quantize import Quantized, hub_of
from ..passes.calibrate import store as statistics_store
from ..passes.pipeline import canonicalize
from ..passes.sensitivity.configuration import measured_tensors, sites_of
from ..passes.sensitivity.libraries import Libraries
from ..passes.sensitivity.observe import statistics_of
from ..targets.errors import DataError
from . import api
from .data import read_samples
from .phases import phases


def measure(model_path, calib, output, shard, batch, threads, store, exists: bool) -> tuple:
    """(identity, tensors, what to tell the user). shard: (index from 0, parts). A file that exists and is fresh is left as it is."""
    with phases() as (phase, display):
        phase("import")
        model = api.load_onnx(model_path, batch)
        samples, _ = read_samples(calib, model)
        index, parts = shard
        samples = {name: array[index::parts] for name, array in samples.items()}
        if not len(next(iter(samples.values()))):
            raise DataError(f"{calib}: has no samples for shard {index + 1} of {parts}; make fewer shards")
        identity, note = store.identity_of(model, samples), ""
        if exists and store.holds_statistics(output):
            found, statistics = store.load(output)
            reason = found.stale(identity)
            if reason is None:
                return identity, len(statistics), ", fresh: nothing was run"
            note = f", measured again: {reason}"
        phase("calibrate")
        canonical = canonicalize(model)
        tensors = measured_tensors([sites_of(canonical.module, Recipe())])
        statistics = statistics_of(canonical.module, tensors, samples, Libraries().executor_factory(threads), display.update)
        store.save(output, identity, statistics)
    return identity, len(statistics), note


def hub_from(path, model, recipe: Recipe) -> tuple[Quantized, int]:
    """(the hub from stored statistics, their number of samples). Raises DataError where they are of another model."""
    identity, statistics = statistics_store.load(path)
    if (identity.model, identity.batch) != (model.sha256, model.batch):
        raise DataError(f"{path}: statistics are stale, {identity.stale(statistics_store.Identity(model.sha256, model.batch, identity.data, 0))}; run octet calibrate again")
    canonical = canonicalize(model)
    missing = sorted(measured_tensors([sites_of(canonical.module, recipe)]) - statistics.keys())
    if missing:
        raise DataError(f"{path}: statistics lack tensor {missing[0]!r}, which this recipe observes; run octet calibrate again")
    return hub_of(canonical, recipe, statistics), identity.samples
