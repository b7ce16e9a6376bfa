"""octet keygen and octet sign: who made a package."""

import click

from ..console import say
from ..errors import Command


@click.command(cls=Command)
@click.argument("name", metavar="NAME")
def keygen(name):
    """Make a pair of Ed25519 keys: NAME.key signs and is kept private, NAME.pub is given to whoever loads packages.

    With OCTET_KEY_PASSPHRASE the private key is encrypted.
    """
    import os

    from ...targets.errors import OctetError
    from ...targets.trust import PASSPHRASE, new_key, short_key, trust_of
    from ...targets.writing import check_writable, write_atomically

    secret, public = f"{name}.key", f"{name}.pub"
    for path in (secret, public):
        if os.path.lexists(path):
            raise OctetError(f"{path}: exists, and a key that is replaced is lost; take another name")
        check_writable(path)
    passphrase = os.environ.get(PASSPHRASE, "").encode()
    private, shared = new_key(passphrase)
    write_atomically(secret, private, mode=0o600)
    write_atomically(public, shared)
    trust = trust_of([shared])
    assert trust is not None, "a key was given"
    (key,) = trust.keys
    say(
        f"{secret}: {'encrypted with ' + PASSPHRASE if passphrase else 'not encrypted'}, signs packages; {public}: "
        f"key {short_key(key)}, for those who load them"
    )


@click.command(cls=Command)
@click.argument("package", metavar="OUT.octet")
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="NAME.key",
    help="Sign with this private key; may be repeated. Signatures of other keys stay.",
)
@click.option(
    "--remove",
    "removed",
    multiple=True,
    metavar="NAME.pub",
    help="Take the signature of this key away; may be repeated.",
)
@click.option("-o", "--output", metavar="FILE", help="The signed package [default: the package itself].")
def sign(package, keys, removed, output):
    """Sign a package, in place. What is signed is every byte of it; its code is not run."""
    from ...targets import archive
    from ...targets.errors import OctetError
    from ...targets.trust import MOST_SIGNATURES, private_key, short_key, signed, trust_of
    from ...targets.writing import check_writable

    if not keys and not removed:
        raise OctetError("neither --key nor --remove was given; make a key with: octet keygen NAME")
    output = output or package
    check_writable(output)
    contents, trust = archive.read(package), trust_of(removed) if removed else None
    gone = {} if trust is None else trust.keys
    signatures = {one.key: one for one in contents.signatures}
    for key, where in gone.items():
        if signatures.pop(key, None) is None:
            raise OctetError(
                f"{package}: is not signed by {short_key(key)} ({where}); see its signers with: octet inspect {package}"
            )
    added = [signed(contents.text, private_key(path)) for path in keys]
    signatures |= {one.key: one for one in added}
    if len(signatures) > MOST_SIGNATURES:
        raise OctetError(
            f"{package}: would have {len(signatures)} signatures, at most {MOST_SIGNATURES} are read; remove some"
        )
    archive.write(output, contents.text, contents.members, tuple(signatures[key] for key in sorted(signatures)))
    say(f"{output}: signed by {', '.join(short_key(key) for key in sorted(signatures)) or 'nobody'}")
