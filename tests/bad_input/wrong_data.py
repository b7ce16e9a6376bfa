"""A catalogue of wrong data files: {name: function(path)}, which writes what is no calibration data of the tiny network
of conftest.py (image: float32 [samples, 3, 8, 8]).

LABELS holds files whose images are good and whose labels are not."""

import io
import os
import struct
import zipfile
import zlib

import numpy as np

WRONG: dict = {}
LABELS: dict = {}
IMAGE = np.random.default_rng(1).standard_normal((8, 3, 8, 8)).astype(np.float32)


def _put(name, write):
    WRONG[name] = write


def _arrays(name, **arrays):
    WRONG[name] = lambda path: np.savez(path, **arrays)


def _npy(array, header=None, version=(1, 0)) -> bytes:
    """A .npy; header: what it says in place of the truth."""
    buffer = io.BytesIO()
    if header is None:
        np.lib.format.write_array(buffer, array, allow_pickle=True)
        return buffer.getvalue()
    text = header.encode() + b"\n"
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H", len(text)) + text + array.tobytes()


def _zip(path, members, packed=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", packed) as file:
        for name, data in members:
            file.writestr(name, data)


def _member(name, data, packed=zipfile.ZIP_DEFLATED):
    WRONG[name] = lambda path: _zip(path, [("image.npy", data)], packed)


# Types.
for _dtype in ("uint8", "int8", "int32", "int64", "bool", "complex64", "S4", "U4", "M8[s]", "m8[s]", "V8"):
    _arrays(f"images of {_dtype}", image=np.zeros((8, 3, 8, 8), _dtype))
_arrays("images that are records", image=np.zeros((8, 3, 8, 8), [("a", "f4")]))
_arrays("images that are objects", image=np.full((8, 3, 8, 8), None, object))

# Shapes.
for _shape in (
    (),
    (0,),
    (8,),
    (3, 8, 8),
    (8, 3, 8),
    (8, 3, 8, 7),
    (8, 3, 7, 8),
    (8, 4, 8, 8),
    (8, 8, 8, 3),
    (0, 3, 8, 8),
    (8, 3, 0, 8),
    (8, 1, 1, 3, 8, 8),
    (2, 4, 3, 8, 8),
    (1,) * 20,
):
    _arrays(f"images of shape {list(_shape)}", image=np.zeros(_shape, np.float32))

# Values.
for _name, _bad in (("NaN", np.nan), ("inf", np.inf), ("-inf", -np.inf)):
    for _place in (0, 5, 7):
        _changed = IMAGE.copy()
        _changed[_place, 1, 2, 3] = _bad
        _arrays(f"{_name} in sample {_place}", image=_changed)
    _arrays(f"nothing but {_name}", image=np.full_like(IMAGE, _bad))
    _put(f"{_name}, compressed", lambda path, bad=_bad: np.savez_compressed(path, image=np.full_like(IMAGE, bad)))
_arrays("float64 beyond float32", image=IMAGE.astype(np.float64) * 1e300)
_arrays("NaN in float16", image=np.full(IMAGE.shape, np.nan, np.float16))

# Names.
_arrays("no array")
for _given in (
    "picture",
    "Image",
    "image ",
    "image.npy",
    "labels",
    "",
    "image\n",
    "\u202eegami",
    "x" * 3000,
    "../image",
    "a/image",
    "\x1b[31mimage",
):
    _put(f"one array named {_given[:12]!a}", lambda path, name=_given: _zip(path, [(f"{name}.npy", _npy(IMAGE))]))
_arrays("one array more", image=IMAGE, picture=IMAGE)
_put("many arrays more", lambda path: _zip(path, [(f"{number}.npy", _npy(np.zeros(1))) for number in range(5000)]))
_put("the array twice", lambda path: _zip(path, [("image.npy", _npy(IMAGE)), ("image", _npy(IMAGE))]))
_put("a text file beside the array", lambda path: _zip(path, [("image.npy", _npy(IMAGE)), ("notes.txt", b"hello")]))

# Headers that lie.
_TRUE = "{'descr': '<f4', 'fortran_order': False, 'shape': (8, 3, 8, 8)}"
for _name, _text in {
    "more samples than there are": _TRUE.replace("(8,", "(9,"),
    "fewer samples than there are": _TRUE.replace("(8,", "(7,"),
    "2^40 samples": _TRUE.replace("(8,", f"({1 << 40},"),
    "2^62 samples": _TRUE.replace("(8,", f"({1 << 62},"),
    "negative samples": _TRUE.replace("(8,", "(-8,"),
    "two negative extents": _TRUE.replace("(8, 3,", "(-8, -3,"),
    "a fraction of samples": _TRUE.replace("(8,", "(8.0,"),
    "true samples": _TRUE.replace("(8,", "(True,"),
    "40 axes": _TRUE.replace("8, 3, 8, 8", "1, " * 40),
    "another type": _TRUE.replace("<f4", "<f8"),
    "objects": _TRUE.replace("<f4", "|O"),
    "a type of no size": _TRUE.replace("<f4", "|V0"),
    "no type": _TRUE.replace("<f4", "x"),
    "a call": "__import__('os').getcwd()",
    "no shape": "{'descr': '<f4', 'fortran_order': False}",
    "a list": "[1, 2]",
    "nothing": "",
    "half a dictionary": _TRUE[:30],
    "brackets": "(" * 3000,
    "text": "'" * 3,
    "NUL": "\0" * 20,
    "a shape that is none": _TRUE.replace("(8, 3, 8, 8)", "None"),
    "an order that is none": _TRUE.replace("False", "5"),
    "a long line": _TRUE + " " * 60_000,
}.items():
    _member(f"a header of {_name}", _npy(IMAGE, _text))
_member("a version of the format that is not known", _npy(IMAGE, _TRUE, (9, 9)))
_member("no magic", _npy(IMAGE)[6:])
_member("an empty member", b"")
_member("a pickle", b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.")
_member("half an array", _npy(IMAGE)[:3000])
_member("half an array, stored", _npy(IMAGE)[:3000], zipfile.ZIP_STORED)
_member("bytes behind the array", _npy(IMAGE) + b"more")


# Containers that are none, or damaged.
def _spoilt(name, change, compressed=False):
    def write(path):
        (np.savez_compressed if compressed else np.savez)(path, image=IMAGE)
        data = bytearray(path.read_bytes())
        change(data)
        path.write_bytes(data)

    WRONG[name] = write


def _bytes(name, data):
    _put(name, lambda path: path.write_bytes(data))


for _kept in (1, 22, 100, 3000, -1, -30, -100):
    _spoilt(f"an .npz cut at {_kept}", lambda data, kept=_kept: data.__delitem__(slice(kept, None)))
_spoilt("a bit flipped in the samples", lambda data: data.__setitem__(3000, data[3000] ^ 1))
_spoilt("a bit flipped in compressed samples", lambda data: data.__setitem__(3000, data[3000] ^ 1), compressed=True)
_spoilt("a directory that points nowhere", lambda data: data.__setitem__(slice(-6, -2), b"\xff\xff\xff\x7f"))
_spoilt("a method of compression that is not known", lambda data: data.__setitem__(data.rindex(b"PK\x01\x02") + 10, 99))
_spoilt("a member that claims to be encrypted", lambda data: data.__setitem__(data.rindex(b"PK\x01\x02") + 8, 1))
_spoilt("a local header that is none", lambda data: data.__setitem__(slice(0, 4), b"XXXX"))
_bytes("an empty file", b"")
_bytes("text", b"image: 1 2 3\n" * 100)
_bytes("the end of a zip alone", b"PK\x05\x06" + bytes(18))
_bytes("a gzip", b"\x1f\x8b\x08\x00" + bytes(100))
_bytes("an array that is no .npz", _npy(IMAGE))
_bytes("a pickle that is no .npz", b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.")
_bytes("zeros", bytes(10_000))


# Bombs: megabytes that unpack to gigabytes of zeros.
_BLOCK = 16 << 20


def _bomb(name, shape, inputs="image", catalogue=WRONG):
    def write(path):
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}".ljust(117).encode() + b"\n"
        size = int(np.prod(shape, dtype=object)) * 4
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        front = packer.compress(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header) + packer.flush(
            zlib.Z_FULL_FLUSH
        )
        block = packer.compress(bytes(_BLOCK)) + packer.flush(
            zlib.Z_FULL_FLUSH
        )  # Such a block stands by itself, so it may stand there often.
        data = front + block * (size // _BLOCK) + packer.compress(bytes(size % _BLOCK)) + packer.flush()
        members = [("image.npy", zipfile.ZIP_STORED, _npy(IMAGE), len(_npy(IMAGE)))] if inputs != "image" else []
        members.append((f"{inputs}.npy", zipfile.ZIP_DEFLATED, data, 10 + len(header) + size))
        path.write_bytes(_container(members))

    catalogue[name] = write


def _container(members) -> bytes:
    """A zip of (name, method, bytes as they lie there, bytes that they become)."""
    body = directory = b""
    for name, method, data, size in members:
        about = struct.pack(
            "<HHHHHIIIHH",
            20,
            0,
            method,
            0,
            33,
            zlib.crc32(data) if method == zipfile.ZIP_STORED else 0,
            len(data),
            size,
            len(name),
            0,
        )
        directory += (
            b"PK\x01\x02" + struct.pack("<H", 20) + about + struct.pack("<HHHII", 0, 0, 0, 0, len(body)) + name.encode()
        )
        body += b"PK\x03\x04" + about + name.encode() + data
    return (
        body
        + directory
        + b"PK\x05\x06"
        + struct.pack("<HHHHIIH", 0, 0, len(members), len(members), len(directory), len(body), 0)
    )


_bomb("a bomb of 3.9 GB of samples", (1_300_000, 3, 8, 32))
_bomb("a bomb of 3.9 GB of another array", (1_040_000_000,), "picture")
_bomb("a bomb of 3.9 GB in the shape of labels", (8, 130_000_000), "labels")


# Places that hold no file.
def _place(name, make):
    _put(name, make)


_place("no file", lambda path: None)
_place("a folder", lambda path: path.mkdir())
_place("a pipe", lambda path: os.mkfifo(path))
_place("a link to itself", lambda path: path.symlink_to(path.name))
_place("a link to nothing", lambda path: path.symlink_to("nothing"))
_place("a link to a folder", lambda path: path.symlink_to("."))
_place("a link to a device", lambda path: path.symlink_to("/dev/zero"))
_place("a link to the terminal", lambda path: path.symlink_to("/dev/tty"))
_place("a link to the kernel's log", lambda path: path.symlink_to("/proc/kmsg"))
_place("a terabyte of nothing", lambda path: (path.touch(), os.truncate(path, 1 << 40)))

# Labels.
for _name, _labels in {
    "none": None,
    "too few": np.arange(3),
    "too many": np.arange(9),
    "a scalar": np.array(3),
    "none of them": np.zeros(0, np.int64),
    "fractions": np.linspace(0, 1, 8),
    "another model's classes": np.arange(8),
    "negative": np.arange(8) - 7,
    "beyond int32": np.full(8, 1 << 40),
    "of two axes": np.zeros((8, 2), np.int64),
    "one per place of nothing": np.zeros((8, 5, 5), np.int64),
    "strings": np.full(8, "cat"),
    "bytes": np.full(8, b"cat"),
    "complex": np.zeros(8, complex),
    "dates": np.zeros(8, "M8[D]"),
    "NaN": np.full(8, np.nan),
    "all ignored": np.full((8, 4), -100),
    "in another order": np.zeros((4, 8), np.int64),
    "records": np.zeros(8, [("a", "i4")]),
}.items():
    LABELS[f"labels: {_name}"] = lambda path, labels=_labels: np.savez(
        path, image=IMAGE, **({} if labels is None else {"labels": labels})
    )
LABELS["labels: objects"] = lambda path: np.savez(path, image=IMAGE, labels=np.array([{}] * 8, object))
_bomb("labels: a bomb of 2 GB of another length", (536_870_000,), "labels", LABELS)
_bomb("labels: a bomb of 2 GB of the right length", (8, 67_108_000), "labels", LABELS)
