"""The container of a package: a zip of named members whose SHA-256 is recorded, written atomically, verified on every
read.

The digests of all other members stand in manifest.json, and the manifest's own digest stands in the zip's comment.
signatures.json, if it is there, holds signatures of the manifest.
"""

import hashlib
import io
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .errors import OctetError, PackageError
from .manifest.checks import manifest_of
from .manifest.fields import Manifest
from .native.stream import aligned
from .reading.limits import limit, more
from .reading.regular import read_regular
from .schema import json_text, parsed, printable
from .seams import JsonObject
from .trust import LARGEST, Signature, Trust, signatures_of
from .writing import write_atomically

# These formats can be read. A package has the lowest that says all about it, so that older readers take what they
# understand and refuse the rest.
FORMATS = (1, 2, 3, 4)
MANIFEST, SIGNATURES = "manifest.json", "signatures.json"
_MAGIC = "octet package, manifest sha256 "
# A manifest and a packed member may have at most these bytes; weights are stored as they are, so members are large.
_LARGEST_MANIFEST, _LARGEST_PACKED = 64 << 20, 1 << 30
_EPOCH = (1980, 1, 1, 0, 0, 0)  # Every member has this date, so that the same content makes the same file.
_PIECE = 1 << 18  # So much of a member is read at a time: the second-level cache holds it.
_AGAIN = "copy the package again, or compile it again"

Members = Mapping[str, bytes | memoryview]  # They map a name to what the member holds.


@dataclass(frozen=True)
class Contents:
    """A package as it lies in its file. text: the manifest's bytes, which are what is signed. signatures: where keys
    were asked for, those by these keys, proved; else all that the file holds, unproved."""

    text: bytes
    manifest: Manifest
    members: Members
    signatures: tuple[Signature, ...]


def manifest_text(manifest: JsonObject, members: Members, number: int) -> bytes:
    """The bytes of manifest.json. `members` must not contain the manifest; their digests are added here. number: of the
    format."""
    digests = {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in members.items()}
    return json_text({"format": number, **manifest, "members": digests}, indent=1, sort_keys=True).encode()


def write(
    path: str | os.PathLike[str],
    text: bytes,
    members: Members,
    signatures: tuple[Signature, ...],
) -> int:
    """Writes a package whose manifest is `text`, and signatures of it, if any, and returns its size in bytes."""
    listed = json_text(
        {"signatures": [{"key": one.key, "signature": one.signature} for one in signatures]}, indent=1
    ).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.comment = (_MAGIC + hashlib.sha256(text).hexdigest()).encode()
        for name, data in {MANIFEST: text, **members, **({SIGNATURES: listed} if signatures else {})}.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.external_attr = 0o644 << 16
            # Weights are close to random bytes: compressing them costs load time and gains next to nothing.
            info.compress_type = zipfile.ZIP_STORED if name.endswith((".bin", ".xz")) else zipfile.ZIP_DEFLATED
            file.writestr(info, data)
    whole = buffer.getbuffer()
    write_atomically(path, whole)
    return whole.nbytes


def read(path: str | os.PathLike[str], trust: Trust | None = None) -> Contents:
    """The manifest's digest first, then its signatures where `trust` asks for some, then what it says, then every
    member's size and digest. Nothing is decompressed before its size is known to be meant. Raises PackageError in one
    line for whatever is wrong with the file."""
    try:
        data = read_regular(path, limit("package"))
    except OSError as error:
        raise PackageError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    except ValueError as error:
        raise PackageError(f"{path}: cannot be read ({error}); give a package, or {more('package')}") from error
    if not data.startswith(b"PK\x03\x04"):
        raise PackageError(
            f"{path}: is not an octet package; make one with: compile-model MODEL.onnx --calib DATA.npz -o OUT.octet"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            text, signatures = _manifest_text(path, file), _signatures(path, file)
            if trust is not None:
                signatures = trust.proved(path, text, signatures)
            manifest = _manifest(path, text)
            return Contents(text, manifest, _members(path, file, manifest), signatures)
    except OctetError:
        raise
    except (
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        OSError,
        EOFError,
        ValueError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise PackageError(f"{path}: is truncated or corrupt; {_AGAIN}") from error
    # Bytes that are no longer what the directory says raise zlib.error or struct.error, too.
    except Exception as error:
        raise PackageError(f"{path}: is corrupt ({type(error).__name__}); {_AGAIN}") from error


def _manifest_text(path: str | os.PathLike[str], file: zipfile.ZipFile) -> bytes:
    comment = file.comment.decode("ascii", "replace")
    if MANIFEST not in file.namelist() or not comment.startswith(_MAGIC):
        raise PackageError(
            f"{path}: is a zip, but not an octet package; make one with: compile-model MODEL.onnx --calib DATA.npz -o "
            "OUT.octet"
        )
    if len(comment) < len(_MAGIC) + 64:  # The comment ends the file, and zip readers accept one that was cut short.
        raise PackageError(f"{path}: is truncated or corrupt; {_AGAIN}")
    if file.getinfo(MANIFEST).file_size > _LARGEST_MANIFEST:
        raise PackageError(
            f"{path}: {MANIFEST} is of {file.getinfo(MANIFEST).file_size} bytes, at most {_LARGEST_MANIFEST} can be "
            f"meant; {_AGAIN}"
        )
    text = file.read(MANIFEST)
    if comment.removeprefix(_MAGIC) != hashlib.sha256(text).hexdigest():
        raise PackageError(f"{path}: {MANIFEST} does not match its SHA-256; {_AGAIN}")
    return text


def _signatures(path: str | os.PathLike[str], file: zipfile.ZipFile) -> tuple[Signature, ...]:
    """The signatures that the package holds, whoever made them and whether they are right or not."""
    if SIGNATURES not in file.namelist():
        return ()
    if (size := file.getinfo(SIGNATURES).file_size) > LARGEST:
        raise PackageError(f"{path}: {SIGNATURES} is of {size} bytes, at most {LARGEST} can be meant; {_AGAIN}")
    try:
        return signatures_of(file.read(SIGNATURES))
    except ValueError as error:
        raise PackageError(f"{path}: {SIGNATURES} holds no signatures ({error}); sign the package again") from error


def _manifest(path: str | os.PathLike[str], text: bytes) -> Manifest:
    try:
        values = parsed(text)
        number = values.get("format") if isinstance(values, dict) else None
        if isinstance(number, int) and number not in FORMATS:
            known = f"formats {FORMATS[0]} to {FORMATS[-1]}"
            raise PackageError(
                f"{path}: has package format {number}, this octet reads {known}; take the octet that wrote it, or "
                "compile it again with this one"
            )
        return manifest_of(values)
    except (ValueError, MemoryError) as error:
        raise PackageError(
            f"{path}: its manifest is not what this octet reads ({error}); compile it again with this version"
        ) from error


def _members(path: str | os.PathLike[str], file: zipfile.ZipFile, manifest: Manifest) -> Members:
    listed = file.infolist()
    if len({info.filename for info in listed}) < len(listed):
        raise PackageError(f"{path}: has two members of one name; {_AGAIN}")
    found = {info.filename: info for info in listed if info.filename not in (MANIFEST, SIGNATURES)}
    for name in sorted(manifest.members.keys() ^ found.keys()):
        raise PackageError(
            f"{path}: member {printable(name)[:100]} is "
            f"{'missing' if name in manifest.members else 'not in the manifest'}; {_AGAIN}"
        )
    members: dict[str, bytes | memoryview] = {}
    for name, expected in manifest.members.items():
        info = found[name]
        packed = info.compress_type != zipfile.ZIP_STORED
        if info.file_size != expected.bytes or (packed and info.file_size > _LARGEST_PACKED):
            raise PackageError(
                f"{path}: member {name} is of {info.file_size} bytes, the manifest says {expected.bytes}, packed ones "
                f"hold at most {_LARGEST_PACKED}; {_AGAIN}"
            )
        data = file.read(info) if packed else _stored(file, info)
        if hashlib.sha256(data).hexdigest() != expected.sha256:
            raise PackageError(f"{path}: member {name} does not match its SHA-256; {_AGAIN}")
        members[name] = data
    return members


def _stored(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> memoryview:
    """A member on a 64-byte boundary: a session reads weights where they lie."""
    whole, filled = aligned((info.file_size,), np.uint8), 0
    with file.open(info) as member:
        while piece := member.read(_PIECE):
            whole[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
            filled += len(piece)
    if filled < info.file_size:
        raise EOFError
    return whole.data
