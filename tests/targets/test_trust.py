"""Packages are loaded only if a trusted key signed them as they are, where keys are named; checked before any code is
loaded."""

import json
import os
import stat
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from click.testing import CliRunner

import octet
from octet.targets import archive, trust
from octet.targets.errors import OctetError, PackageError
from octet.targets.package import load, read_package
from octet.tools.main import main

from .test_package import relabelled, rezipped


def octet_run(*arguments, **environment):
    return CliRunner(env=environment).invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    for name in ("old", "new", "other"):
        made = octet_run("keygen", folder / name)
        assert made.exit_code == 0, made.output
    return folder


@pytest.fixture
def signed(toy_package, pairs):
    made = octet_run("sign", toy_package, "--key", pairs / "old.key")
    assert made.exit_code == 0, made.output
    return toy_package


@pytest.fixture
def no_code(monkeypatch):
    """Opening a library fails the test."""
    monkeypatch.setattr("octet.targets.runtime.Library", lambda image, target: pytest.fail("code was loaded"))


def test_what_a_trusted_key_signed_is_loaded_and_nothing_else_changes(toy_package, pairs):
    x, before = np.ones((4, 16), np.float32), archive.read(toy_package)
    octet_run("sign", toy_package, "--key", pairs / "old.key")
    after = archive.read(toy_package)
    assert (after.text, after.members) == (before.text, before.members)
    assert (octet.load(toy_package, keys=[pairs / "old.pub"]).run({"x": x})["y"] == 2 + np.arange(16)).all()
    assert (
        octet.load(toy_package, keys=[(pairs / "old.pub").read_bytes()]).run({"x": x})["y"] == 2 + np.arange(16)
    ).all()
    assert octet.load(toy_package).run({"x": x})


def test_unsigned_foreign_and_altered_are_refused_before_code_is_loaded(
    toy_package, signed, pairs, no_code, toy_variant, tmp_path
):
    with pytest.raises(PackageError, match="0 of 1 trusted signers"):
        load(signed, keys=[pairs / "other.pub"])
    library = bytearray(toy_variant.library)
    library[-1] ^= 1
    # The digests match what was changed.
    relabelled(signed, f"variants/{toy_variant.target}/kernels.so", bytes(library))
    with pytest.raises(PackageError, match="was altered"):
        load(signed, keys=[pairs / "old.pub"])
    rezipped(signed, lambda members: members.pop(archive.SIGNATURES))
    with pytest.raises(PackageError, match="is not signed"):
        load(signed, keys=[pairs / "old.pub"])


def test_every_byte_of_the_manifest_is_signed(signed, pairs):
    text, keys = archive.read(signed).text, trust.trust_of([pairs / "old.pub"])
    signatures = archive.read(signed).signatures
    assert keys.proved(signed, text, signatures) == signatures
    for at in range(0, len(text), 7):
        changed = bytearray(text)
        changed[at] ^= 1
        with pytest.raises(PackageError):
            keys.proved(signed, bytes(changed), signatures)
    for each in (text + b" ", text[:-1], b"octet package manifest\0" + text):
        with pytest.raises(PackageError):
            keys.proved(signed, each, signatures)


def test_the_environment_is_the_policy_of_every_command(toy_package, pairs, tmp_path):
    np.savez(tmp_path / "in.npz", x=np.ones((4, 16), np.float32))
    commands = [
        ("run", toy_package, "--input", tmp_path / "in.npz", "--output", tmp_path / "out.npz"),
        ("inspect", toy_package, "--self-test"),
        ("verify", toy_package),
        ("bench", toy_package),
    ]
    for command in commands:
        made = octet_run(*command, OCTET_KEYS=str(pairs / "old.pub"))
        assert made.exit_code == 2 and "is not signed" in made.stderr and made.stderr.count("\n") == 1, (
            command,
            made.output,
        )
    octet_run("sign", toy_package, "--key", pairs / "old.key")
    for command in commands[:3]:
        made = octet_run(*command, OCTET_KEYS=f"{pairs / 'other.pub'}:{pairs / 'old.pub'}")
        assert made.exit_code == 0, (command, made.output)
        made = octet_run(*command, OCTET_KEYS=f"{pairs / 'other.pub'}:{pairs / 'old.pub'}", OCTET_SIGNERS="2")
        assert made.exit_code == 2 and "1 of 2 trusted signers" in made.stderr, (command, made.output)


@pytest.mark.parametrize(
    "environment, said",
    [
        ({"OCTET_KEYS": ""}, "names no key"),
        ({"OCTET_KEYS": "/no/such.pub"}, "cannot be read"),
        ({"OCTET_SIGNERS": "1"}, "no keys are named"),
    ],
)
def test_a_policy_that_cannot_be_read_refuses_everything(toy_package, monkeypatch, environment, said):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(OctetError, match=said):
        load(toy_package)


def test_keys_rotate_and_several_sign(signed, pairs):
    """The new key signs beside the old one; readers trust both, then the new one alone; then the old signature goes."""
    both, old, new = [pairs / "old.pub", pairs / "new.pub"], [pairs / "old.pub"], [pairs / "new.pub"]
    assert octet_run("sign", signed, "--key", pairs / "new.key").exit_code == 0
    for keys, signers in ((both, 1), (both, 2), (old, 1), (new, 1)):
        assert load(signed, keys=keys, signers=signers)
    bundle = pairs / "bundle.pub"
    bundle.write_bytes(b"".join(path.read_bytes() for path in both))
    assert load(signed, keys=[bundle], signers=2)
    with pytest.raises(OctetError, match="'3' signers are asked for, of 2"):
        load(signed, keys=[bundle], signers=3)
    assert octet_run("sign", signed, "--remove", pairs / "old.pub").exit_code == 0
    assert load(signed, keys=new)
    with pytest.raises(PackageError, match="trusted signers"):
        load(signed, keys=old)
    again = octet_run("sign", signed, "--remove", pairs / "old.pub")
    assert again.exit_code == 2 and "is not signed by" in again.stderr


def test_one_key_is_one_signer(signed, pairs):
    """Neither the same key twice among the trusted ones nor its signature twice in the file makes two."""
    with pytest.raises(OctetError, match="of 1 trusted keys"):
        load(signed, keys=[pairs / "old.pub", (pairs / "old.pub").read_bytes()], signers=2)

    def twice(members):
        found = json.loads(members[archive.SIGNATURES])
        members[archive.SIGNATURES] = json.dumps({"signatures": found["signatures"] * 2}).encode()

    rezipped(signed, twice)
    with pytest.raises(PackageError, match="of one key"):
        read_package(signed)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"signatures": []}',
        b'{"signatures": [{"key": "0", "signature": "0"}]}',
        b"[" * 60000,
        b"x" * 100_000,
        b"\xff",
        b'{"signatures": {"a": NaN}}',
    ],
)
def test_signatures_that_are_none(signed, data):
    rezipped(signed, lambda members: members.update({archive.SIGNATURES: data}))
    with pytest.raises(PackageError, match="signatures.json"):
        read_package(signed)


def test_private_keys_are_private_and_never_replaced(pairs):
    assert stat.S_IMODE(os.stat(pairs / "old.key").st_mode) & 0o077 == 0
    before = (pairs / "old.key").read_bytes()
    made = octet_run("keygen", pairs / "old")
    assert made.exit_code == 2 and "exists" in made.stderr and (pairs / "old.key").read_bytes() == before


def test_a_passphrase(toy_package, tmp_path):
    assert (
        "encrypted" in octet_run("keygen", tmp_path / "a", OCTET_KEY_PASSPHRASE="secret").output
        and b"ENCRYPTED" in (tmp_path / "a.key").read_bytes()
    )
    for passphrase in (None, "wrong"):
        made = octet_run("sign", toy_package, "--key", tmp_path / "a.key", OCTET_KEY_PASSPHRASE=passphrase)
        assert made.exit_code == 2 and "passphrase" in made.stderr and made.stderr.count("\n") == 1, made.output
    assert octet_run("sign", toy_package, "--key", tmp_path / "a.key", OCTET_KEY_PASSPHRASE="secret").exit_code == 0
    assert load(toy_package, keys=[tmp_path / "a.pub"])


def test_files_that_are_no_keys(toy_package, pairs, tmp_path):
    from cryptography.hazmat.primitives import serialization as forms
    from cryptography.hazmat.primitives.asymmetric import ec

    curve = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "curve.key").write_bytes(
        curve.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption())
    )
    (tmp_path / "curve.pub").write_bytes(
        curve.public_key().public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo)
    )
    (tmp_path / "broken.pub").write_bytes(b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    (tmp_path / "large.pub").write_bytes(b"x" * 100_000)
    (tmp_path / "empty.pub").write_bytes(b"")
    for name in ("curve.pub", "broken.pub", "large.pub", "empty.pub", "none.pub", "", pairs / "old.key"):
        with pytest.raises(OctetError) as error:
            load(toy_package, keys=[tmp_path / name])
        assert str(error.value).isprintable()
    for name in ("curve.key", "empty.pub", "none.key", "", pairs / "old.pub"):
        made = octet_run("sign", toy_package, "--key", tmp_path / name)
        assert made.exit_code == 2 and made.stderr.count("\n") == 1, (name, made.output)
    assert (
        octet_run("sign", toy_package).exit_code == 2
        and octet_run("sign", tmp_path / "none", "--key", pairs / "old.key").exit_code == 2
    )
    assert archive.read(toy_package).signatures == ()


def test_without_the_library_nothing_counts_as_signed(signed, pairs, monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    with pytest.raises(OctetError, match=r"pip install 'octet\[signing\]'"):
        load(signed, keys=[pairs / "old.pub"])


def test_the_library_is_imported_by_who_asks_for_it(signed):
    code = f"import sys, octet; octet.load({str(signed)!r}); print('cryptography' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        == "False"
    )


def test_a_signature_is_the_same_each_time_and_the_commands_say_whose_it_is(signed, pairs):
    before = signed.read_bytes()
    octet_run("sign", signed, "--key", pairs / "old.key")
    assert signed.read_bytes() == before
    (key,) = trust.trust_of([pairs / "old.pub"]).keys
    made = octet_run("verify", signed, "--key", pairs / "old.pub")
    assert made.exit_code == 0 and f"signed by {trust.short_key(key)} ({pairs / 'old.pub'})" in made.output.replace(
        "\n", ""
    ), made.output
    assert trust.short_key(key) in octet_run("inspect", signed).output
    with zipfile.ZipFile(signed) as file:
        assert file.namelist()[-1] == archive.SIGNATURES
