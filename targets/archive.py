"""The container of a package: a zip of named members whose SHA-256 is recorded, written atomically, verified on every read.

The digests of all other members stand in manifest.json, and the manifest's own digest stands in the zip's comment.
"""

import hashlib
import io
import json
import zipfile
from pathlib import Path

from .errors import PackageError
from .writing import write_atomically

FORMATS = (1, 2)  # that can be read; a package has the lowest that says all about it, so that older readers take what they understand and refuse the rest
MANIFEST = "manifest.json"
_MAGIC = "octet package, manifest sha256 "
_EPOCH = (1980, 1, 1, 0, 0, 0)  # of every member: the same content makes the same file
_AGAIN = "copy the package again, or compile it again"


def write(path, manifest: dict, members: dict[str, bytes], number: int = FORMATS[0]) -> int:
    """Writes the package and returns its size in bytes. `members` must not contain the manifest; its digests are added here. number: of the format."""
    digests = {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in members.items()}
    text = json.dumps({"format": number, **manifest, "members": digests}, indent=1, sort_keys=True).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.comment = (_MAGIC + hashlib.sha256(text).hexdigest()).encode()
        for name, data in {MANIFEST: text, **members}.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.external_attr = 0o644 << 16
            # weights are close to random bytes: compressing them costs load time and gains next to nothing
            info.compress_type = zipfile.ZIP_STORED if name.endswith(".bin") else zipfile.ZIP_DEFLATED
            file.writestr(info, data)
    write_atomically(path, buffer.getvalue())
    return buffer.getbuffer().nbytes


def read(path) -> tuple[dict, dict[str, bytes]]:
    """The manifest and all other members, every digest verified. Raises PackageError in one line for whatever is wrong with the file."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise PackageError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    if not data.startswith(b"PK\x03\x04"):
        raise PackageError(f"{path}: is not an octet package; make one with: compile-model MODEL.onnx --calib DATA.npz -o OUT.octet")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            comment = file.comment.decode("ascii", "replace")
            members = {info.filename: file.read(info) for info in file.infolist()}
    except (zipfile.BadZipFile, zipfile.LargeZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise PackageError(f"{path}: is truncated or corrupt; {_AGAIN}") from error
    except Exception as error:  # zlib.error and struct.error, from bytes that no longer are what the directory says
        raise PackageError(f"{path}: is corrupt ({type(error).__name__}); {_AGAIN}") from error
    return _verified(path, comment, members)


def _verified(path, comment, members):
    text = members.pop(MANIFEST, None)
    if text is None or not comment.startswith(_MAGIC):
        raise PackageError(f"{path}: is a zip, but not an octet package; make one with: compile-model MODEL.onnx --calib DATA.npz -o OUT.octet")
    if len(comment) < len(_MAGIC) + 64:  # the comment is the end of the file, and zip readers accept a shortened one
        raise PackageError(f"{path}: is truncated or corrupt; {_AGAIN}")
    if comment.removeprefix(_MAGIC) != hashlib.sha256(text).hexdigest():
        raise PackageError(f"{path}: {MANIFEST} does not match its SHA-256; {_AGAIN}")
    manifest = json.loads(text)
    if manifest["format"] not in FORMATS:
        known = f"formats {FORMATS[0]} to {FORMATS[-1]}"
        raise PackageError(f"{path}: has package format {manifest['format']}, this octet reads {known}; take the octet that wrote it, or compile it again with this one")
    digests = manifest["members"]
    for name in sorted(digests.keys() ^ members.keys()):
        raise PackageError(f"{path}: member {name} is {'missing' if name in digests else 'not in the manifest'}; {_AGAIN}")
    for name, expected in digests.items():
        if hashlib.sha256(members[name]).hexdigest() != expected["sha256"]:
            raise PackageError(f"{path}: member {name} does not match its SHA-256; {_AGAIN}")
    return manifest, members
