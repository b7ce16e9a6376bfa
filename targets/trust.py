"""Who made a package: Ed25519 signatures of its manifest, which holds the digest of every other member. The
cryptography is that of the library of this name.

A reader that is given keys, or finds OCTET_KEYS, takes nothing from a package before enough of those keys have signed
it."""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

from msgspec import Meta, Struct

from .errors import OctetError, PackageError
from .schema import Digest, checked, parsed

# Whoever runs the readers of packages sets their policy in these variables.
KEYS, SIGNERS, PASSPHRASE = (
    "OCTET_KEYS",
    "OCTET_SIGNERS",
    "OCTET_KEY_PASSPHRASE",
)
# The first bounds the signatures of a package, the second the bytes of all of them, and of a key file.
MOST_SIGNATURES, LARGEST = 64, 1 << 16
_PURPOSE = b"octet package manifest\0"  # A signature over these bytes first cannot be taken for one of something else.
_PEM = re.compile(rb"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----", re.S)


class Signature(Struct, frozen=True):
    """A signature of a package by one key. key: the 32 bytes of the public key; signature: 64 bytes; both in
    hexadecimal."""

    key: Digest
    signature: Annotated[str, Meta(pattern=r"^[0-9a-f]{128}\Z")]


class _Signatures(Struct):
    signatures: Annotated[tuple[Signature, ...], Meta(min_length=1, max_length=MOST_SIGNATURES)]


@dataclass(frozen=True)
class Trust:
    """The keys that a reader of packages believes, and how many must have signed. keys: {public key in hexadecimal:
    where it came from}. signers: how many different ones of them must have signed."""

    keys: dict[str, str]
    signers: int = 1

    def proved(
        self, path: str | os.PathLike[str], manifest: bytes, signatures: tuple[Signature, ...]
    ) -> tuple[Signature, ...]:
        """The signatures of these bytes by the keys. Raises PackageError where they are too few."""
        proved = tuple(one for one in signatures if one.key in self.keys and is_of(one, manifest))
        if len(proved) >= self.signers:
            return proved
        if not signatures:
            raise PackageError(
                f"{path}: is not signed, and only packages signed by a trusted key are loaded here; sign it with: "
                f"octet sign {path} --key NAME.key"
            )
        if broken := [one.key for one in signatures if one.key in self.keys and one not in proved]:
            raise PackageError(
                f"{path}: the signature of {short_key(broken[0])} does not fit its manifest: it was altered; copy the "
                "package again, or ask its signer"
            )
        raise PackageError(
            f"{path}: {len(proved)} of {self.signers} trusted signers needed; it is signed by "
            f"{', '.join(short_key(one.key) for one in signatures)}; add a key that you trust, or have it signed"
        )


def trust_of(
    keys: Iterable[str | os.PathLike[str] | bytes] | str | os.PathLike[str] | bytes | None, signers: int | None = None
) -> Trust | None:
    """The keys to check signatures by. keys: paths of public keys (PEM; a file may hold several), or their content as
    bytes; None for those of OCTET_KEYS, and without that for no check. Raises OctetError for a file that holds none:
    what was meant to be checked is never left unchecked."""
    if keys is None and KEYS in os.environ:
        keys = [name for name in os.environ[KEYS].split(os.pathsep) if name]
        if not keys:
            raise OctetError(
                f"{KEYS} is set, but names no key; name files of public keys, or unset it to load packages unchecked"
            )
    if keys is None:
        if signers is not None or SIGNERS in os.environ:
            raise OctetError(
                f"a number of signers is asked for, but no keys are named; name files of public keys, also by {KEYS}"
            )
        return None
    found = {
        key: where
        for each in ([keys] if isinstance(keys, (str, bytes, os.PathLike)) else keys)
        for key, where in _public_keys(each)
    }
    return Trust(found, _number_of(signers, len(found)))


def signatures_of(data: bytes) -> tuple[Signature, ...]:
    """The signatures in the member of a package that holds them. Raises ValueError where it holds something else, or
    two of one key."""
    found = checked(parsed(data), _Signatures).signatures
    if len({one.key for one in found}) < len(found):
        raise ValueError("two signatures are of one key")
    return found


def signed(manifest: bytes, key: Any) -> Signature:
    """The signature of a manifest. key: an Ed25519 private key, as `private_key` gives it."""
    return Signature(_raw(key.public_key()), key.sign(_PURPOSE + manifest).hex())


def is_of(signature: Signature, manifest: bytes) -> bool:
    """Whether the signature is that of its key for these bytes."""
    ed25519 = _library("asymmetric.ed25519")
    from cryptography.exceptions import InvalidSignature

    try:
        ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(signature.key)).verify(
            bytes.fromhex(signature.signature), _PURPOSE + manifest
        )
    except (InvalidSignature, ValueError):
        return False
    return True


def new_key(passphrase: bytes | None = None) -> tuple[bytes, bytes]:
    """(private, public) of a new key pair, as PEM."""
    forms, ed25519 = _library("serialization"), _library("asymmetric.ed25519")
    made = ed25519.Ed25519PrivateKey.generate()
    kept = forms.BestAvailableEncryption(passphrase) if passphrase else forms.NoEncryption()
    return (
        made.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, kept),
        made.public_key().public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo),
    )


def private_key(path: str | os.PathLike[str]) -> Any:
    """The Ed25519 key of a PEM file (PKCS 8, as `octet keygen` and `openssl genpkey -algorithm ed25519` write it). Its
    passphrase, if it has one, is that of OCTET_KEY_PASSPHRASE. Raises OctetError."""
    forms, ed25519 = _library("serialization"), _library("asymmetric.ed25519")
    data, passphrase = _read(path), os.environ.get(PASSPHRASE)
    try:
        key = forms.load_pem_private_key(data, passphrase.encode() if passphrase and b"ENCRYPTED" in data else None)
    except TypeError as error:
        raise OctetError(f"{path}: this key has a passphrase; set {PASSPHRASE}") from error
    except Exception as error:  # The library names ValueError, UnsupportedAlgorithm and others.
        raise OctetError(
            f"{path}: is no private key that can be read, or its passphrase is another; make one with: octet keygen "
            "NAME"
        ) from error
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise OctetError(f"{path}: is no Ed25519 key; make one with: octet keygen NAME")
    return key


def short_key(key: str) -> str:
    """What people call a key: the first digits of its SHA-256."""
    return hashlib.sha256(bytes.fromhex(key)).hexdigest()[:16]


def _public_keys(source: str | os.PathLike[str] | bytes) -> Iterator[tuple[str, str]]:
    """(key, where from) of every public key in a PEM file, or in bytes."""
    forms, ed25519 = _library("serialization"), _library("asymmetric.ed25519")
    where = "a key given as bytes" if isinstance(source, bytes) else os.fspath(source)
    blocks = list(_PEM.finditer(source if isinstance(source, bytes) else _read(source)))
    if not blocks:
        raise OctetError(f"{where}: holds no public key; give the .pub file of octet keygen")
    for block in blocks:
        if block[1] != b"PUBLIC KEY":
            raise OctetError(
                f"{where}: holds a {block[1].decode().lower()}; give the public key, and keep private ones where "
                "packages are signed"
            )
        try:
            key = forms.load_pem_public_key(block[0])
        except Exception as error:  # The library names ValueError, UnsupportedAlgorithm and others.
            raise OctetError(
                f"{where}: holds a public key that cannot be read; give the .pub file of octet keygen"
            ) from error
        if not isinstance(key, ed25519.Ed25519PublicKey):
            raise OctetError(f"{where}: holds a key that is not Ed25519; make one with: octet keygen NAME")
        yield _raw(key), where


def _raw(key: Any) -> str:
    return key.public_bytes_raw().hex()


def _number_of(signers: int | None, keys: int) -> int:
    text = os.environ.get(SIGNERS, "1") if signers is None else str(signers)
    if not text.isdecimal() or not 1 <= int(text) <= keys:
        raise OctetError(f"{text!a} signers are asked for, of {keys} trusted keys; ask for 1 to {keys}")
    return int(text)


def _read(path: str | os.PathLike[str]) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise OctetError(f"{path}: the key cannot be read ({error.strerror or error}); check the path") from error
    if len(data) > LARGEST:
        raise OctetError(f"{Path(path)}: is larger than any key file; name a key")
    return data


def _library(part: str) -> ModuleType:
    """A part of cryptography's primitives. Raises OctetError where it is not installed: a check that cannot be made has
    not succeeded."""
    from importlib import import_module

    try:
        return import_module(f"cryptography.hazmat.primitives.{part}")
    except ImportError as error:
        raise OctetError(
            "signatures need the library cryptography, which is not installed; run: pip install 'octet[signing]'"
        ) from error
