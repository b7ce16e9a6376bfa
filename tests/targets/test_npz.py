"""Arrays by name: any name is kept, and a file is as large as it says."""

import io
import zipfile

import numpy as np
import pytest

from octet.targets.npz import names_of, npz_bytes, read_npz

LIMIT = 1 << 20


@pytest.mark.parametrize("compress", [True, False])
def test_names_that_savez_takes_for_its_own(compress):
    arrays = {
        name: np.full((2, 3), i, np.float32)
        for i, name in enumerate(["file", "allow_pickle", "args", "kwds", "a/b", ""])
    }
    data = npz_bytes(arrays, compress)
    assert data == npz_bytes(arrays, compress) and names_of(io.BytesIO(data)) == list(arrays)
    for found in (read_npz(io.BytesIO(data), LIMIT), dict(np.load(io.BytesIO(data)))):
        assert found.keys() == arrays.keys() and all((found[name] == arrays[name]).all() for name in arrays)


def test_arrays_of_every_form():
    arrays = {
        "scalar": np.array(3),
        "empty": np.zeros((0, 4)),
        "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "text": np.array("hello"),
        "flags": np.array([True]),
    }
    found = read_npz(io.BytesIO(npz_bytes(arrays)), LIMIT)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape and (found[name] == array).all()


def member(header: bytes | dict, data: bytes = b"") -> io.BytesIO:
    buffer, item = io.BytesIO(), io.BytesIO()
    if isinstance(header, dict):
        np.lib.format.write_array_header_1_0(item, header)
    else:
        item.write(header)
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.npy", item.getvalue() + data)
    return io.BytesIO(buffer.getvalue())


@pytest.mark.parametrize(
    "source, said",
    [
        (member({"descr": "<f4", "fortran_order": False, "shape": (1 << 40,)}), "declared"),
        (member({"descr": "<f4", "fortran_order": False, "shape": (2,)}, b"12345"), "declared"),
        (member({"descr": "<f4", "fortran_order": False, "shape": (-1, -2)}, b"12345678"), "."),
        (member({"descr": "|O", "fortran_order": False, "shape": (1,)}, b"cos\nsystem\n."), "pickle"),
        (member({"descr": "<f4", "fortran_order": False, "shape": (1 << 17,)}, bytes(1 << 21)), "at most"),
        (member(b"\x93NUMPY\x09\x00"), "format"),
        (member(b"no array"), "."),
        (io.BytesIO(b"no zip"), "."),
        (io.BytesIO(b""), "."),
    ],
)
def test_what_is_refused(source, said):
    with pytest.raises(ValueError, match=said):
        read_npz(source, LIMIT)


def test_a_name_that_is_not_there():
    with pytest.raises(KeyError):
        read_npz(io.BytesIO(npz_bytes({"a": np.zeros(1)})), LIMIT, ("b",))


def test_an_array_of_another_kind_is_refused_before_it_is_decompressed():
    """What follows its header is no compressed data at all."""
    whole = npz_bytes({"a": np.arange(1 << 16)})
    spoilt = bytearray(whole)
    spoilt[len(whole) // 4 : len(whole) // 2] = bytes(len(whole) // 2 - len(whole) // 4)
    for dtype, shape in ((np.int32, (1 << 16,)), (np.int64, (1 << 15, 2))):
        with pytest.raises(ValueError, match="'a' is int64 .* belongs"):
            read_npz(io.BytesIO(bytes(spoilt)), LIMIT, declared={"a": (dtype, shape)})
    assert read_npz(io.BytesIO(whole), LIMIT, declared={"a": (np.int64, (1 << 16,))})["a"][-1] == (1 << 16) - 1
    with pytest.raises(ValueError, match="(?!.*belongs)"):
        read_npz(io.BytesIO(bytes(spoilt)), LIMIT)
