"""octet verify: who signed a package; runs a package's self-test on every variant that runs here, and the others in an emulator."""

import click

from ..errors import Command


@click.command(cls=Command)
@click.argument("package", metavar="OUT.octet")
@click.option("--key", "keys", multiple=True, metavar="NAME.pub", help="Trust this public key; may be repeated [default: those of OCTET_KEYS; without them, signatures are not looked at].")
@click.option("--signers", type=click.IntRange(min=1), help="How many of the trusted keys must have signed [default: 1].")
@click.option("--emulate", is_flag=True, help="Also run variants that this machine cannot run: of another CPU, with the instructions that this one lacks spelled portably; of a GPU, as host code, thread by thread (slow; needs g++).")
@click.option("--orders", type=click.IntRange(1, 16), default=2, show_default=True, help="Orders of a GPU's threads to emulate.")
def verify(package, keys, signers, emulate, orders):
    """Check who signed a package, before any of its code is loaded, and run its self-test: every variant must give the recorded bytes."""
    from ...targets import detect
    from ...targets.errors import OctetError
    from ...targets.package import failed_outputs, read_package
    from ...targets.opening import open_session
    from ...targets.trust import short, trust_of

    trust = trust_of(keys or None, signers)
    found = read_package(package, trust=trust)
    if trust is not None:
        click.echo(f"signed by {', '.join(f'{short(one.key)} ({trust.keys[one.key]})' for one in found.signatures)}")
    if not found.selftest:
        raise OctetError(f"{package}: has no self-test, as none of its targets runs on the machine that compiled it; compile it with a second --target that does")
    done = {}
    for number, variant in enumerate(found.variants):
        shapes = [(shape.variants[number], shape.selftest) for shape in found.shapes]
        if not detect.missing(variant.features):
            done[variant.target] = _differing([failed_outputs(open_session(one), selftest) for one, selftest in shapes])
        elif emulate:
            done[f"{variant.target} (emulated)"] = _differing(_EMULATED[variant.kind](shapes, orders))
        else:
            click.echo(f"{variant.target}: not run, this machine lacks {', '.join(detect.missing(variant.features))}; --emulate does without")
    said = f", {len(found.shapes)} shapes" if found.others else ""
    for name, failed in done.items():
        click.echo(f"{name}: {'differs in ' + ', '.join(failed) if failed else f'byte for byte as recorded{said}'}")
    wrong = [name for name, failed in done.items() if failed]
    if wrong:
        raise OctetError(f"{package}: {', '.join(wrong)} failed the self-test; compile it again, and report it if that does not help")


def _differing(failed):
    """Of the outputs that differ, shape by shape: their names, with the number of the shape behind that of another than the first."""
    return tuple(f"{name} of shape {number}" if number else name for number, names in enumerate(failed) for name in names)


def _on_this_cpu(shapes, orders):
    """The outputs that differ, shape by shape."""
    from ...targets.opening import open_session
    from ...targets.package import failed_outputs
    from ...targets.x86.emulation.library import emulated_shapes

    variants = emulated_shapes([variant for variant, _ in shapes])
    return [failed_outputs(open_session(variant), selftest) for variant, (_, selftest) in zip(variants, shapes, strict=True)]


def _thread_by_thread(shapes, orders):
    """The outputs that differ in some order of threads."""
    from ...targets.cuda.emulator import Emulator

    ((variant, selftest),) = shapes
    emulator = Emulator.of_variant(variant)
    inputs = {key.removeprefix("input/"): value for key, value in selftest.items() if key.startswith("input/")}
    failed = set()
    for seed in range(orders):
        outputs = emulator.run(variant, inputs, seed)
        failed |= {name for name, value in outputs.items() if value.tobytes() != selftest[f"output/{name}"].tobytes()}
    return [tuple(sorted(failed))]


_EMULATED = {"cpu": _on_this_cpu, "cuda": _thread_by_thread}
