"""A job and its blobs as files: a folder, or one .tar.xz where the way is narrow.

manifest.json           the job (job.py), with its SHA-256
blobs/SHA256[.xz]       code and constants, named by the digest of their contents; xz in a folder, plain in an archive,
                        which is compressed as a whole
"""

import io
import json
import lzma
import os
import shutil
import tarfile
import tempfile
from pathlib import Path

from ..errors import DataError, OctetError
from ..reading.regular import read_regular
from ..schema import parsed
from ..writing import check_writable, write_atomically
from .job import Job, digest, from_json, to_json

FORMAT, MANIFEST, BLOBS, ARCHIVE, LOG = 1, "manifest.json", "blobs", ".tar.xz", "measurements.jsonl"
# The first bounds the bytes of an archive or blob, the second the files of an archive.
_LARGEST, _MOST = 1 << 30, 1 << 16
_HEADER = 1 << 20  # The bound is on the bytes that stand before a file in an archive.
_AGAIN = "export the candidates again, or copy them again"


class Carrier:
    """A job's file, which a machine elsewhere measures. path: as written by `write`. job: what is in it. digest: the
    job's. measurements: the file beside it that `octet measure` appends to. Raises DataError in one line for whatever
    is wrong with the files."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._members = _unpacked(self.path) if is_archive(path) else None
        self.measurements = self.path.with_name(self.path.name + "." + LOG) if is_archive(path) else self.path / LOG
        try:
            entry = parsed(self._read(MANIFEST))
            if entry["octet-candidates"] != FORMAT:
                raise DataError(
                    f"{path}: is of format {entry['octet-candidates']}, this version reads {FORMAT}; use the same "
                    "version of octet on both machines"
                )
            self.job: Job = from_json(json.dumps(entry["job"]))
            self.digest: str = entry["sha256"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path}: {MANIFEST} is not what `octet tune --export-candidates` writes "
                f"({error or type(error).__name__}); {_AGAIN}"
            ) from error
        if digest(to_json(self.job).encode()) != self.digest:
            raise DataError(f"{path}: {MANIFEST} does not match its SHA-256; {_AGAIN}")

    def blob(self, name: str) -> bytes:
        """The contents of that digest, which is verified."""
        if self._members is not None:
            data = self._read(f"{BLOBS}/{name}")
        else:
            try:
                data = _decompressed(self._read(f"{BLOBS}/{name}.xz"))
            except (lzma.LZMAError, EOFError) as error:
                raise DataError(f"{self.path}: {BLOBS}/{name[:16]}... is corrupt; {_AGAIN}") from error
        if digest(data) != name:
            raise DataError(f"{self.path}: {BLOBS}/{name[:16]}... does not match its SHA-256; {_AGAIN}")
        return data

    def _read(self, name: str) -> bytes:
        if self._members is not None:
            if name not in self._members:
                raise DataError(f"{self.path}: {name} is missing; {_AGAIN}")
            return self._members[name]
        try:
            return read_regular(self.path / name, _LARGEST)
        except ValueError as error:
            raise DataError(f"{self.path}: {name} cannot be read ({error}); {_AGAIN}") from error
        except OSError as error:
            raise DataError(
                f"{self.path}: {name} cannot be read ({error.strerror}); name what `octet tune --export-candidates` "
                "wrote"
            ) from error


def _decompressed(data: bytes) -> bytes:
    """Raises LZMAError or EOFError for what is no xz, cut, or larger than can be meant."""
    decompressor = lzma.LZMADecompressor()
    found = decompressor.decompress(data, _LARGEST)
    if not decompressor.eof:
        raise EOFError("cut, or too large")
    return found


def is_archive(path: str | os.PathLike[str]) -> bool:
    """Whether a job is one file and no folder."""
    return str(path).endswith(ARCHIVE)


def check_free(path: Path) -> None:
    """Raises OctetError now if `write` could not make the folder or the archive after minutes of work."""
    if is_archive(path):
        return check_writable(path)
    path = Path(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise OctetError(f"{path}: exists and is no empty folder; name a new one")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise OctetError(f"{path}: {path.parent} is no folder that can be written to; name another place")


def write(path: Path, job: Job, blobs: dict[str, bytes]) -> int:
    """Writes a folder, or an archive where the name ends with .tar.xz, whole or not at all; the bytes written."""
    text = to_json(job)
    manifest = json.dumps(
        {"octet-candidates": FORMAT, "sha256": digest(text.encode()), "job": parsed(text)}, indent=1, sort_keys=True
    ).encode()
    wanted = {name: blobs[name] for name in sorted(job.blobs)}
    return (
        _write_archive(Path(path), manifest, wanted)
        if is_archive(path)
        else _write_folder(Path(path), manifest, wanted)
    )


def _write_archive(path: Path, manifest: bytes, blobs: dict[str, bytes]) -> int:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz", preset=6) as file:
        # Blobs that are alike lie beside each other, where they compress best.
        members = sorted(blobs.items(), key=lambda entry: (entry[1][:4], len(entry[1])))
        for name, data in [(MANIFEST, manifest), *((f"{BLOBS}/{name}", data) for name, data in members)]:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o644
            file.addfile(info, io.BytesIO(data))
    write_atomically(path, buffer.getvalue())
    return buffer.getbuffer().nbytes


def _write_folder(path: Path, manifest: bytes, blobs: dict[str, bytes]) -> int:
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        try:
            (folder / BLOBS).mkdir()
            for name, data in blobs.items():
                (folder / BLOBS / f"{name}.xz").write_bytes(lzma.compress(data))
            (folder / MANIFEST).write_bytes(manifest)
            folder.chmod(0o755)
            os.replace(folder, path)  # An empty folder of that name may be there.
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise OctetError(
            f"{path}: cannot be written ({error.strerror or error}); name another folder, or make room"
        ) from error
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


class _Unpacked(lzma.LZMAFile):
    """Of which no more is read than is allowed: an archive's headers say how long they are, and would be read whole, at
    once or (since Python 3.14) part by part."""

    left = _HEADER

    def allow(self, size: int) -> None:
        """Sets how many bytes, `size`, may be read from here on, beside a header."""
        self.left = size + _HEADER

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= self.left:
            raise lzma.LZMAError(f"{size} bytes at once")
        data = super().read(size)
        self.left -= len(data)
        return data


def _unpacked(path: Path) -> dict[str, bytes]:
    """{name: contents}; nothing is written anywhere."""
    try:
        with _Unpacked(path) as stream, tarfile.open(fileobj=stream, mode="r:") as file:
            found: dict[str, bytes] = {}
            left = _LARGEST
            for member in file:
                left -= member.size
                if left < 0 or len(found) > _MOST:
                    raise DataError(f"{path}: holds more than {_LARGEST} bytes or {_MOST} files; {_AGAIN}")
                if member.isreg():
                    stream.allow(member.size)
                    packed = file.extractfile(member)
                    assert packed is not None, "a regular file has contents"
                    found[member.name] = packed.read()
                stream.allow(0)
            return found
    except OSError as error:
        if not isinstance(error, tarfile.ReadError) and error.strerror:
            raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error
        raise DataError(f"{path}: is truncated or no archive of candidates; {_AGAIN}") from error
    except DataError:
        raise
    # TarError, LZMAError and EOFError are meant, and whatever headers that are nonsense lead to.
    except Exception as error:
        raise DataError(f"{path}: is truncated or no archive of candidates; {_AGAIN}") from error
