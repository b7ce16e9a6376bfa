"""Arrays that stay in their .npz: the same values as NumPy reads, stored or compressed, C or Fortran order, whole or by
chosen rows."""

import os
import tracemalloc

import numpy as np
import pytest

from octet.targets.batches import batch_of, feed_of
from octet.targets.errors import DataError
from octet.targets.samples import check_samples, digest_of, load_samples
from octet.targets.stored_array import StoredArray, open_npz, select
from octet.targets.variant import TensorSpec


class MODEL:
    inputs = (TensorSpec("x", (1, 3, 4), "float32"), TensorSpec("ids", (1,), "int64"))


class FIXED:
    """The second input's leading extent is no batch."""

    inputs = (TensorSpec("x", (1, 3), "float32"), TensorSpec("table", (5, 2), "float32"))


def arrays(count=50):
    return {"x": np.random.default_rng(0).standard_normal((count, 3, 4)).astype(np.float32), "ids": np.arange(count)}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed], ids=["stored", "compressed"])
@pytest.mark.parametrize("order", "CF")
def test_rows_are_those_of_numpy(tmp_path, save, order):
    given = arrays()
    save(tmp_path / "d.npz", **{name: np.asarray(array, order=order) for name, array in given.items()})
    found = open_npz(tmp_path / "d.npz")
    for name, array in given.items():
        stored = found[name]
        assert isinstance(stored, StoredArray) and (stored.shape, stored.dtype, len(stored)) == (
            array.shape,
            array.dtype,
            50,
        )
        for rows in (
            slice(None),
            slice(3, 9),
            slice(None, None, 7),
            [4, 4, 0, 49],
            array.reshape(50, -1)[:, 0] > 0,
            slice(5, 5),
            -1,
        ):
            assert np.array_equal(stored[rows], array[rows])
        assert np.array_equal(select(select(stored, slice(1, None, 2)), slice(0, 5))[[0, 3]], array[1::2][:5][[0, 3]])
        assert np.array_equal(np.asarray(stored), array)


def test_memory_does_not_grow(tmp_path):
    np.savez(tmp_path / "d.npz", x=np.ones((800000, 3, 4), np.float32), ids=np.arange(800000))
    np.savez_compressed(tmp_path / "c.npz", x=np.ones((400000, 3, 4), np.float64), ids=np.arange(400000))
    tracemalloc.start()
    for name in ("d", "c"):
        found = load_samples(tmp_path / f"{name}.npz", MODEL)
        assert found["x"][7].dtype == np.float32 and found["x"][-1].shape == (3, 4)
    assert tracemalloc.get_traced_memory()[1] < 24 << 20
    tracemalloc.stop()


def test_only_the_chosen_rows_are_read(tmp_path, monkeypatch):
    given = arrays(1000)
    np.savez(tmp_path / "d.npz", **given)
    read, real = [], os.preadv
    monkeypatch.setattr(
        os, "preadv", lambda fd, buffers, at: read.append(sum(map(len, buffers))) or real(fd, buffers, at)
    )
    found = load_samples(tmp_path / "d.npz", MODEL, lambda count: np.arange(count // 4))
    assert np.array_equal(np.asarray(found["x"]), given["x"][:250])
    assert sum(read) < 2 * 250 * (3 * 4 * 4 + 8) + 1000  # They are read once to check them, and once more here.


def test_digests_are_of_the_content(tmp_path):
    given = arrays()
    np.savez(tmp_path / "a.npz", **given)
    np.savez_compressed(tmp_path / "b.npz", **given)
    a, b = (load_samples(tmp_path / f"{name}.npz", MODEL) for name in "ab")
    assert digest_of(a["x"]) == digest_of(b["x"]) == digest_of(given["x"])
    odd = select(a["x"], slice(1, None, 2))
    assert (
        digest_of(odd) == digest_of(select(b["x"], slice(1, None, 2))) != digest_of(select(a["x"], slice(0, None, 2)))
    )


def test_one_flipped_bit_is_found(tmp_path):
    np.savez(tmp_path / "d.npz", **arrays())
    raw = bytearray((tmp_path / "d.npz").read_bytes())
    raw[700] ^= 1
    (tmp_path / "d.npz").write_bytes(raw)
    with pytest.raises(DataError, match="checksum|CRC"):
        load_samples(tmp_path / "d.npz", MODEL)


def test_a_file_that_shrinks_is_no_silent_garbage(tmp_path):
    np.savez(tmp_path / "d.npz", **arrays())
    found = load_samples(tmp_path / "d.npz", MODEL)
    os.truncate(tmp_path / "d.npz", 900)
    with pytest.raises(OSError, match="shorter"):
        found["x"][:]


def test_inputs_whose_leading_extent_is_no_batch_take_whole_arrays():
    data = {"x": np.ones((7, 3), np.float32), "table": np.arange(70, dtype=np.float32).reshape(7, 5, 2)}
    assert batch_of(FIXED.inputs) == 1
    checked = check_samples(FIXED, data)
    feed = feed_of(FIXED.inputs, checked, slice(2, 3))
    assert feed["x"].shape == (1, 3) and np.array_equal(feed["table"], data["table"][2])
    with pytest.raises(
        DataError,
        match=r"'table' has shape \[7, 2\], the model takes \[samples, 5, 2\], as the inputs' first extents differ",
    ):
        check_samples(FIXED, data | {"table": np.ones((7, 2), np.float32)})
