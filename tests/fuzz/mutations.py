"""How files are spoilt with their structure in mind: values of JSON, members of archives, headers and values of arrays,
fields of protobuf messages."""

import copy
import io
import json
import zipfile

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import strategies as st

NUMBERS = (
    -(1 << 63),
    -(1 << 31) - 1,
    -129,
    -2,
    -1,
    0,
    1,
    2,
    3,
    7,
    8,
    127,
    255,
    65536,
    (1 << 31) - 1,
    1 << 31,
    1 << 40,
    1 << 62,
    (1 << 64) - 1,
    1 << 70,
)
FLOATS = (0.0, -0.0, -1.0, 0.5, 1.5, 1e-45, 1e38, 1e300, float("nan"), float("inf"), float("-inf"))
TEXTS = (
    "",
    "x",
    "a\nb",
    "\x1b[31mred",
    "\u202egnp",
    "[bold]",
    "../../etc/passwd",
    "/dev/zero",
    "a\x00b",
    "\ud800",
    "x" * 5000,
    "NaN",
    "1e999",
    "__class__",
    "T.evaluate(0)",
    "0" * 64,
)
VALUES = (None, True, False, [], {}, [[]], {"": {}}, *NUMBERS, *FLOATS, *TEXTS)


@st.composite
def documents(draw, seed):
    """JSON values like `seed`, with up to four edits: taken away, doubled, replaced by a bad value or by another one of
    the same document, wrapped."""
    made = copy.deepcopy(seed)
    for _ in range(draw(st.integers(1, 4))):
        places = list(_places(made))
        if not places:
            return copy.deepcopy(draw(st.sampled_from(VALUES)))
        holder, at = draw(st.sampled_from(places))
        other_holder, other_at = draw(st.sampled_from(places))
        how = draw(st.integers(0, 5))
        if how == 0:
            holder.pop(at)
        elif how == 1 and isinstance(holder, list):
            holder.insert(at, copy.deepcopy(holder[at]))
        elif how == 2:
            holder[at] = copy.deepcopy(other_holder[other_at])
        elif how == 3:
            holder[at] = [holder[at]] if draw(st.booleans()) else {"a": holder[at]}
        elif how == 4 and isinstance(holder[at], (int, float)) and not isinstance(holder[at], bool):
            holder[at] = (
                holder[at] + draw(st.sampled_from((-1, 1, 0.5, 1 << 20))) if draw(st.booleans()) else -holder[at]
            )
        else:
            holder[at] = copy.deepcopy(draw(st.sampled_from(VALUES)))
    return made


def _places(value):
    """(holder, key) of every value, at most a few of long lists: the others are like these."""
    steps = list(value) if isinstance(value, dict) else range(min(len(value), 8)) if isinstance(value, list) else ()
    for step in steps:
        yield value, step
        yield from _places(value[step])


def json_bytes(value) -> bytes:
    """Also of what is no JSON: NaN, Infinity, and half of a surrogate pair."""
    return json.dumps(value).encode()


@st.composite
def spoilt(draw, data: bytes):
    """Bytes like `data`: cut, changed, doubled or overwritten in places."""
    made = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(made) - 1, 0)))
        how = draw(st.integers(0, 4))
        if how == 0:
            del made[at:]
        elif how == 1 and made:
            made[at] ^= draw(st.integers(1, 255))
        elif how == 2:
            made[at:at] = made[: draw(st.integers(0, 64))]
        elif how == 3:
            made[at : at + 4] = draw(st.sampled_from((b"\x00" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"PK\x01\x02")))
        else:
            del made[at : at + draw(st.integers(1, 64))]
    return bytes(made)


@st.composite
def arrays(draw, seed: np.ndarray):
    """An array like `seed`: other values, another type or shape."""
    how = draw(st.integers(0, 4))
    if how == 0:
        return seed.astype(
            draw(st.sampled_from(("f2", "f4", "f8", "i1", "i8", "u2", "bool", "c8", ">f4", "S3", "U2", "M8[s]")))
        )
    if how == 1:
        return seed.reshape(draw(st.sampled_from(((-1,), (1, *seed.shape), (*seed.shape, 1), seed.shape[::-1]))))
    if how == 2:
        return seed[: draw(st.integers(0, 3))] if seed.ndim else seed
    if how == 3:
        return np.asfortranarray(seed)
    made = seed.copy().reshape(-1)
    value = draw(st.sampled_from(FLOATS if made.dtype.kind == "f" else NUMBERS))
    if made.size and (
        made.dtype.kind == "f"
        or made.dtype.kind in "iu"
        and np.iinfo(made.dtype).min <= value <= np.iinfo(made.dtype).max
    ):
        with np.errstate(over="ignore"):
            made[draw(st.integers(0, made.size - 1))] = value
    return made.reshape(seed.shape)


def npy(array, header=None) -> bytes:
    """The bytes of a .npy. header: what it says in place of the truth, a dictionary."""
    buffer = io.BytesIO()
    if header is None:
        np.lib.format.write_array(buffer, array, allow_pickle=False)
    else:
        text = repr(header).encode("latin1", "replace").ljust(117) + b"\n"
        buffer.write(b"\x93NUMPY\x01\x00" + min(len(text), 65535).to_bytes(2, "little") + text + array.tobytes())
    return buffer.getvalue()


@st.composite
def headers(draw, array):
    """What the header of an array may say."""
    true = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
    key = draw(st.sampled_from(sorted(true)))
    shapes = (
        (),
        (0,),
        (-1,),
        (1 << 40,),
        (1 << 62, 4),
        (-2, -4),
        (True,),
        (1.5,),
        array.shape[:-1],
        (*array.shape, 0),
        [3],
        None,
        (1,) * 40,
    )
    values = {
        "descr": ("|O", "<f4", "|V0", "<f16", "|S0", "x", "", [("a", "<f4")], ("<f4", (2, 2)), None, 5, "<M8"),
        "fortran_order": (True, 1, None, "x"),
        "shape": shapes,
    }
    return true | {key: draw(st.sampled_from(values[key]))} if draw(st.booleans()) else {key: true[key]}


@st.composite
def npz(draw, seeds: dict, texts: dict | None = None):
    """An .npz like that of `seeds`, {name: array}. texts: {name: JSON values} of arrays that hold a JSON text, which
    are spoilt as documents."""
    members = {f"{name}.npy": npy(array) for name, array in seeds.items()} | {
        f"{name}.npy": npy(np.array(json.dumps(value))) for name, value in (texts or {}).items()
    }
    for _ in range(draw(st.integers(1, 2))):
        name = draw(st.sampled_from(sorted(seeds) + 2 * sorted(texts or {})))
        if name in (texts or {}):
            members[f"{name}.npy"] = npy(np.array(json.dumps(draw(documents(texts[name])))))
            continue
        how = draw(st.integers(0, 3))
        array = seeds[name]
        members[f"{name}.npy"] = (
            npy(draw(arrays(array)))
            if how < 2
            else npy(array, draw(headers(array)))
            if how == 2
            else draw(spoilt(members[f"{name}.npy"]))
        )
    return draw(zips(members))


@st.composite
def zips(draw, members: dict, comment: bytes = b""):
    """A zip of these members, sometimes with one gone, renamed, doubled, or with bytes spoilt behind the zip's back."""
    names, how = list(members), draw(st.integers(0, 9))
    if how == 0:
        names.remove(draw(st.sampled_from(names)))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", draw(st.sampled_from((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))) as file:
        file.comment = comment
        for name in names:
            file.writestr(name, members[name])
        if how == 1:
            file.writestr(draw(st.sampled_from(("more", "a/../b", "\u202e.npy", "labels.npy", "x" * 3000))), b"x")
    return draw(spoilt(buffer.getvalue())) if how == 2 else buffer.getvalue()


@st.composite
def messages(draw, seed, operators):
    """A protobuf message like `seed` with up to four fields changed. operators: names that an op_type may become."""
    made = type(seed)()
    made.CopyFrom(seed)
    for _ in range(draw(st.integers(1, 4))):
        found = list(_messages(made))
        message = draw(st.sampled_from(found))
        field = draw(st.sampled_from(list(message.DESCRIPTOR.fields)))
        _change(draw, message, field, made, operators)
    return made


def _messages(message, depth=0):
    yield message
    for field, value in message.ListFields() if depth < 8 else ():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for inner in list(value)[:12] if field.is_repeated else [value]:
                yield from _messages(inner, depth + 1)


def _change(draw, message, field, whole, operators):
    if field.is_repeated:
        held = getattr(message, field.name)
        how = draw(st.integers(0, 3))
        if how == 0 and held:
            del held[draw(st.integers(0, len(held) - 1))]
        elif how == 1 and held:
            held.append(held[draw(st.integers(0, len(held) - 1))])
        elif how == 2 and field.type == FieldDescriptor.TYPE_MESSAGE:
            held.add()
        elif field.type != FieldDescriptor.TYPE_MESSAGE:
            value = _value(draw, field, whole, operators)
            if held and draw(st.booleans()):
                held[draw(st.integers(0, len(held) - 1))] = value
            else:
                held.append(value)
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        message.ClearField(field.name) if draw(st.booleans()) else getattr(message, field.name).SetInParent()
    elif draw(st.integers(0, 4)) == 0:
        message.ClearField(field.name)
    else:
        setattr(message, field.name, _value(draw, field, whole, operators))


def _value(draw, field, whole, operators):
    kind = field.cpp_type
    if kind in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
        return draw(
            st.sampled_from(
                [
                    value
                    for value in FLOATS
                    if kind == FieldDescriptor.CPPTYPE_DOUBLE or not 1e38 < abs(value) < float("inf")
                ]
            )
        )
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        return draw(st.sampled_from([value.number for value in field.enum_type.values]))
    if kind == FieldDescriptor.CPPTYPE_STRING:
        names = [name for node in whole.graph.node[:12] for name in (*node.input, *node.output)]
        chosen = (
            operators
            if field.name == "op_type" and draw(st.booleans())
            else [*names, *(text for text in TEXTS if text != "\ud800")]
        )
        value = draw(st.sampled_from(chosen))
        return value.encode() if field.type == FieldDescriptor.TYPE_BYTES else value
    low, high = {
        FieldDescriptor.CPPTYPE_INT32: (-(1 << 31), (1 << 31) - 1),
        FieldDescriptor.CPPTYPE_INT64: (-(1 << 63), (1 << 63) - 1),
        FieldDescriptor.CPPTYPE_UINT64: (0, (1 << 64) - 1),
        FieldDescriptor.CPPTYPE_UINT32: (0, (1 << 32) - 1),
        FieldDescriptor.CPPTYPE_BOOL: (0, 1),
    }[kind]
    return draw(st.sampled_from([value for value in NUMBERS if low <= value <= high]))
