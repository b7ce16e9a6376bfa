"""Stored statistics: exact merging of shards, and reasons for staleness."""

import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from octet.passes.calibrate import store
from octet.passes.calibrate.identity import Identity
from octet.passes.calibrate.statistics import BINS, Statistics
from octet.targets.errors import DataError
from octet.targets.npz import npz_bytes

from ..json_edits import edits


def identity(data="d", model="m", samples=3):
    return Identity({"conv": "g"}, {"conv": model}, {"x": "float32 [1, 3]"}, ({"x": data},), samples)


def statistics_of(values):
    found = Statistics()
    found.update(values)
    return {"x": found}


def same(a, b):
    return a.keys() == b.keys() and all(
        np.array_equal(a[n].histogram, b[n].histogram)
        and (a[n].count, a[n].zeros, a[n].range, a[n].top) == (b[n].count, b[n].zeros, b[n].range, b[n].top)
        for n in a
    )


def test_shards_merge_to_the_bytes_of_the_whole(tmp_path):
    values = (np.random.default_rng(0).standard_normal(3000) * 10.0 ** np.arange(3).repeat(1000)).astype(np.float32)
    for i, part in enumerate((values[0::3], values[1::3], values[2::3])):
        store.save(tmp_path / f"{i}.npz", identity(f"shard {i}"), statistics_of(part))
    merged_identity, merged = store.merge([tmp_path / "2.npz", tmp_path / "0.npz", tmp_path / "1.npz"])
    assert same(merged, statistics_of(values)) and merged_identity.samples == 9
    store.save(tmp_path / "all.npz", merged_identity, merged)
    assert same(store.load(tmp_path / "all.npz")[1], merged)


def test_shards_are_merged_by_name_into_the_first_one_alone(tmp_path):
    """A histogram of every tensor is held once, however many shards come and in whatever order a shard has them."""
    tensors, shards = 40, 4
    draw = np.random.default_rng(1)
    values = {
        f"t{i}": (draw.standard_normal((shards, 100)) * 8.0 ** draw.integers(-3, 3, (shards, 1))).astype(np.float32)
        for i in range(tensors)
    }
    for shard in range(shards):
        names = list(values)[:: 1 if shard % 2 else -1]
        store.save(
            tmp_path / f"{shard}.npz",
            identity(f"shard {shard}"),
            {name: statistics_of(values[name][shard])["x"] for name in names},
        )
    data = tensors * 2 * BINS * 8
    tracemalloc.start()
    try:
        merged_identity, merged = store.merge([tmp_path / f"{shard}.npz" for shard in range(shards)])
        merging = tracemalloc.get_traced_memory()[1]
        store.save(tmp_path / "all.npz", merged_identity, merged)
        saving = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert data < merging < 1.5 * data and saving < 1.5 * data, (data, merging, saving)
    assert list(merged) == list(values)[::-1] and same(
        merged, {name: statistics_of(all_of_it)["x"] for name, all_of_it in values.items()}
    )
    stacked = {
        "ranges": np.array([[one.minimum, one.maximum] for one in merged.values()]),
        "histograms": np.stack([one.histogram for one in merged.values()]),
    }
    header = np.load(tmp_path / "all.npz")["octet_statistics"]
    assert (tmp_path / "all.npz").read_bytes() == npz_bytes({"octet_statistics": header, **stacked})


def test_wrong_shards_are_refused(tmp_path):
    part, other = statistics_of(np.ones(3, np.float32)), tmp_path / "other.npz"
    store.save(tmp_path / "a.npz", identity(), part)
    for held, found, said in (
        (identity(), part, "in another shard already"),
        (identity("e", "other"), part, "not of the same model"),
        (identity("e"), {"y": part["x"]}, "holds other tensors"),
    ):
        store.save(other, held, found)
        with pytest.raises(DataError, match=said):
            store.merge([tmp_path / "a.npz", other])
    store.save(other, identity("e"), part)
    other.write_bytes(other.read_bytes()[:-40])
    with pytest.raises(DataError, match="other.npz: holds no calibration statistics"):
        store.merge([tmp_path / "a.npz", other])


def test_what_made_statistics_stale_is_said():
    assert identity().stale(identity()) is None
    assert identity().stale(identity("e")) == "the calibration data changed (input 'x')"
    assert identity().stale(identity("e", "n")) == "weights changed ('conv')"
    assert identity().stale(replace(identity(), version="9")).startswith("Octet's version changed")


def test_damaged_files_are_refused(tmp_path):
    store.save(tmp_path / "a.npz", identity(), statistics_of(np.ones(3, np.float32)))
    whole = (tmp_path / "a.npz").read_bytes()
    for cut in (10, len(whole) // 2, len(whole) - 3):
        (tmp_path / "a.npz").write_bytes(whole[:cut])
        with pytest.raises(DataError):
            store.load(tmp_path / "a.npz")


def test_other_files_hold_no_statistics(tmp_path):
    np.savez(tmp_path / "samples.npz", x=np.zeros(3))
    (tmp_path / "text.npz").write_text("no")
    for name in ("samples.npz", "text.npz", "missing.npz"):
        assert not store.holds_statistics(tmp_path / name)
        with pytest.raises(DataError, match="octet calibrate"):
            store.load(tmp_path / name)


def rewritten(path, header=None, **arrays):
    """The file with another header or other arrays."""
    held = dict(np.load(path))
    if header is not None:
        held["octet_statistics"] = np.array(json.dumps(header))
    path.write_bytes(npz_bytes(held | arrays))


def test_edited_headers_are_refused_or_harmless(tmp_path):
    path = tmp_path / "a.npz"
    store.save(path, identity(), statistics_of(np.ones(3, np.float32)))
    header, whole, refused = json.loads(str(np.load(path)["octet_statistics"])), path.read_bytes(), 0
    for done, made in edits(header):
        path.write_bytes(whole)
        rewritten(path, made)
        try:
            found, statistics = store.load(path)
        except DataError as error:
            refused += 1
            assert "\n" not in str(error) and str(error).isprintable() and len(str(error)) < 1000, done
        else:
            assert found.samples >= 0 and all(one.quantile(0.5) == 1.0 for one in statistics.values()), done
    assert refused > 100


@pytest.mark.parametrize(
    "arrays",
    [
        {"ranges": np.array([[np.nan, 1.0]])},
        {"ranges": np.array([[2.0, 1.0]])},
        {"ranges": np.array([[-np.inf, 1.0]])},
        {"ranges": np.array([[0.0, 1e300]])},
        {"ranges": np.array([[1.0, 1.0]], np.float32)},
        {"ranges": np.zeros((2, 2))},
        {"ranges": np.array([[0.0, 4.0]])},
        {"ranges": np.array("text")},
        {"histograms": np.zeros((1, 2, 8), np.int64)},
        {"histograms": np.zeros((1, 2, 8192))},
        {"histograms": np.full((1, 2, 8192), -1)},
        {"histograms": np.full((1, 2, 8192), 1 << 62)},
        {"histograms": np.zeros((1, 2, 1 << 22), np.int64)},
    ],
)
def test_edited_arrays_are_refused(tmp_path, arrays):
    path = tmp_path / "a.npz"
    store.save(path, identity(), statistics_of(np.ones(3, np.float32)))
    rewritten(path, **arrays)
    with pytest.raises(DataError, match="a.npz: is damaged") as caught:
        store.load(path)
    assert "\n" not in str(caught.value)
