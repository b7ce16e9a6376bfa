"""Collection: which tensors are measured, streaming, progress, and what goes wrong."""

from pathlib import Path

import numpy as np
import pytest
from tvm import relax

from octet.passes.annotate import Annotate
from octet.passes.calibrate.collect import collect, edges_of, measurable
from octet.passes.lower.cpu.rules import RULES
from octet.targets.errors import DataError

from .conftest import assert_equal_statistics


@pytest.fixture(scope="module")
def annotated(module):
    return Annotate()(module)


def test_only_sources_are_measured_and_the_results_dropped(annotated):
    collecting, edges = measurable(annotated, summaries=False)
    assert [edge.tensor for edge in edges] == ["x", "relu6", "sum", "gated", "mean"]
    assert len(collecting["main"].ret_ty.fields) == len(edges)
    names = {binding.var.name for binding in collecting["main"].body.blocks[0].bindings}
    assert "logits" not in names and not any(is_observed for is_observed in edges_of(collecting))


def test_in_network_summaries(annotated):
    collecting, edges = measurable(annotated, summaries=True)
    calls = [b.value.op.name for b in collecting["main"].body.blocks[0].bindings if isinstance(b.value, relax.Call)]
    assert calls.count("octet.statistics") == len(edges) and "octet.statistics" in RULES


def test_statistics_do_not_depend_on_how_samples_are_fed(annotated, samples, referee):
    x = samples["x"][:6]
    whole = collect(annotated, {"x": x}, referee, summaries=False)
    streamed = collect(annotated, ({"x": x[i : i + 2]} for i in (4, 0, 2)), referee, summaries=False)
    assert whole.keys() == streamed.keys()
    for edge in whole:
        assert whole[edge].range == streamed[edge].range and np.array_equal(
            whole[edge].histogram, streamed[edge].histogram
        )


def test_progress_counts_samples_and_a_last_batch_is_filled_up(annotated, samples, referee):
    seen = []
    found = collect(
        annotated, samples, referee, summaries=False, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(2, 7), (4, 7), (6, 7), (7, 7)]
    assert next(iter(found.values())).range == (samples["x"].min(), samples["x"].max())


def test_our_own_executor_agrees_with_the_referee(annotated, samples, referee):
    from octet.tools.building.sessions import executor

    plain = collect(annotated, samples, referee, summaries=False)
    ours = collect(annotated, samples, executor)
    for edge, wanted in plain.items():
        assert ours[edge].range == pytest.approx(wanted.range, rel=1e-4, abs=1e-5)
        assert ours[edge].count == wanted.count
        for fraction in (0.1, 0.5, 0.99):
            assert ours[edge].quantile(fraction) == pytest.approx(
                wanted.quantile(fraction), abs=0.01 * (wanted.maximum - wanted.minimum)
            )


def test_results_in_place_are_those_that_are_handed_out(annotated, samples):
    from octet.passes.sensitivity.libraries import Libraries

    run = Libraries().executor(measurable(annotated, summaries=True)[0], 1)
    in_place, handed_out = (
        collect(annotated, samples, lambda module, run=run: run) for run in (run, lambda feed: run(feed))
    )
    for edge, wanted in handed_out.items():
        assert in_place[edge].histogram.tobytes() == wanted.histogram.tobytes() and in_place[edge].range == wanted.range


def test_runs_keep_no_memory(annotated, samples):
    from octet.tools.building.sessions import executor

    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    run = executor(measurable(annotated, summaries=True)[0], 1)
    many = {"x": np.concatenate([samples["x"]] * 100)}
    collect(annotated, many, lambda module: run)
    before = resident()
    for _ in range(5):
        collect(annotated, many, lambda module: run)
    assert resident() - before < 8 << 20, "a page for every kernel and run would be 30 MB"


def test_a_tensor_that_overflows_is_named(annotated, samples, referee):
    huge = {"x": samples["x"].copy()}
    huge["x"][5, 1, 2, 3] = np.inf
    with (
        np.errstate(all="ignore"),
        pytest.raises(DataError, match=r"calibration: tensor '\w+' becomes NaN or infinite in fp32 in samples 4 to 5"),
    ):
        collect(annotated, huge, referee, summaries=False)


def test_no_samples(annotated, referee):
    with pytest.raises(DataError, match="there are no samples"):
        collect(annotated, iter([]), referee, summaries=False)


def test_shards_of_whole_batches_see_exactly_what_the_whole_sees(annotated, samples):
    from octet.passes.calibrate.statistics import Statistics
    from octet.tools.building.calibration import rows_of_shard
    from octet.tools.building.sessions import executor

    x = samples["x"]  # The 7 samples come in batches of 2, so the last one is filled up.
    run = executor(measurable(annotated, summaries=True)[0], 1)
    whole = collect(annotated, {"x": x}, lambda module: run)
    merged = {edge: Statistics() for edge in whole}
    for shard in (2, 0, 1):
        part = x[rows_of_shard((shard, 3), 2, "calib.npz", len(x))]
        for edge, found in collect(annotated, {"x": part}, lambda module: run).items():
            merged[edge].merge(found)
    for edge, wanted in whole.items():
        found = merged[edge]
        assert_equal_statistics(found, wanted)
    with pytest.raises(DataError, match="shard 1 of 9"):
        rows_of_shard((0, 9), 2, "calib.npz", 7)


def test_parts_of_any_length_and_functions_are_streams(annotated, samples, referee):
    x = samples["x"][:6]
    whole = collect(annotated, {"x": x}, referee, summaries=False)
    for parts in ((1, 2, 3, 4, 5), (5,), (3,)):
        found = collect(annotated, lambda: ({"x": part} for part in np.split(x, parts)), referee, summaries=False)
        assert all(
            np.array_equal(whole[edge].histogram, found[edge].histogram) and whole[edge].count == found[edge].count
            for edge in whole
        )
