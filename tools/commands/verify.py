"""octet verify: who signed a package; runs a package's self-test on every variant that runs here, and the others in an
emulator."""

from functools import partial

import click

from ..errors import Command


@click.command(cls=Command)
@click.argument("package", metavar="OUT.octet")
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="NAME.pub",
    help=(
        "Trust this public key; may be repeated [default: those of OCTET_KEYS; without them, signatures are not "
        "looked at]."
    ),
)
@click.option(
    "--signers", type=click.IntRange(min=1), help="How many of the trusted keys must have signed [default: 1]."
)
@click.option(
    "--emulate",
    is_flag=True,
    help=(
        "Also run variants that this machine cannot run: of another CPU, with the instructions that this one lacks "
        "spelled portably; of a GPU, as host code, thread by thread (slow; needs g++)."
    ),
)
@click.option(
    "--all",
    "every",
    is_flag=True,
    help=(
        "Run every variant in every way that this machine has (--emulate; arm64 under QEMU where that is installed), "
        "and say of the others why not."
    ),
)
@click.option(
    "--orders", type=click.IntRange(1, 16), default=2, show_default=True, help="Orders of a GPU's threads to emulate."
)
def verify(package, keys, signers, emulate, every, orders):
    """Check who signed a package, before any of its code is loaded, and run its self-test: every variant must give the
    recorded bytes."""
    from ...targets.errors import OctetError
    from ...targets.package import read_package
    from ...targets.trust import short_key, trust_of
    from ..console import out, say, text_table

    trust = trust_of(keys or None, signers)
    contents = read_package(package, trust=trust)
    if trust is not None:
        say(f"signed by {', '.join(f'{short_key(one.key)} ({trust.keys[one.key]})' for one in contents.signatures)}")
    if not contents.selftest:
        raise OctetError(
            f"{package}: has no self-test, as none of its targets runs on the machine that compiled it; compile it "
            "with a second --target that does"
        )
    said, rows, wrong = f", {len(contents.shapes)} shapes" if contents.others else "", [], []
    for number, variant in enumerate(contents.variants):
        shapes = [(shape.variants[number], shape.selftest) for shape in contents.shapes]
        for how, run in _ways(variant, emulate or every):
            name = f"{variant.target} (emulated)" if how not in (_HERE, _NOT) else variant.target
            try:
                failed = _differing(run(shapes, orders))
                result = f"differs in {', '.join(failed)}" if failed else f"byte for byte as recorded{said}"
                wrong += [name] if failed else []
            except _NotRun as reason:
                name, result = variant.target, str(reason)
            except OctetError as error:
                if not every:
                    raise
                how, result = _NOT, str(error)
            rows.append((name, how, result))
    if every:
        out().print(
            text_table(
                package,
                ("variant", "how", "result"),
                [(name.removesuffix(" (emulated)"), how, result) for name, how, result in rows],
            )
        )
    else:
        for name, how, result in rows:
            say(f"{name}: {'not run, ' if how == _NOT else ''}{result}")
    if wrong:
        raise OctetError(
            f"{package}: {', '.join(wrong)} failed the self-test; compile it again, and report it if that does not help"
        )


_HERE, _NOT = "on this machine", "not run"


class _NotRun(Exception):
    """Why a variant is not run."""


def _ways(variant, emulate):
    """[(how a variant is run here, function of its (variant, self-test) for every shape and of the number of orders ->
    outputs that differ, shape by shape)]."""
    from ...targets import detect

    if not detect.missing(variant.features):
        return [(_HERE, _natively)]
    if not emulate:
        return [(_NOT, _refused(f"{variant.backend.lack(variant.features)}; --emulate does without"))]
    return [
        (_NOT, _refused(one.lacks)) if one.lacks else (one.how, partial(_emulated, one))
        for one in variant.backend.emulations(variant)
    ]


def _refused(reason):
    def run(shapes, orders):
        raise _NotRun(reason)

    return run


def _natively(shapes, orders):
    from ...targets.opening import open_session
    from ...targets.package import failed_outputs

    return [failed_outputs(open_session(variant), selftest) for variant, selftest in shapes]


def _emulated(emulation, shapes, orders):
    """The outputs that differ, shape by shape, in some order of threads where that is chosen."""
    from ...targets.package import failed_outputs

    runs, failed = range(orders if emulation.ordered else 1), []
    for session, (_, selftest) in zip(emulation.sessions([variant for variant, _ in shapes]), shapes, strict=True):
        failed.append(tuple(dict.fromkeys(name for _ in runs for name in failed_outputs(session, selftest))))
    return failed


def _differing(failed):
    """Of the outputs that differ, shape by shape: their names, with the number of the shape behind that of another than
    the first."""
    return tuple(
        f"{name} of shape {number}" if number else name for number, names in enumerate(failed) for name in names
    )
