"""octet run: one inference of a package, arrays in, arrays out."""

import click

from ..errors import Command


@click.command(cls=Command)
@click.argument("package", metavar="OUT.octet")
@click.option("--input", "input_path", required=True, metavar="IN.npz", help="One array per input, named as the input.")
@click.option(
    "--output", "output_path", required=True, metavar="OUT.npz", help="Where the outputs go, one array per output."
)
@click.option("--threads", type=click.IntRange(min=1), help="Cores to use [default: all].")
def run(package, input_path, output_path, threads):
    """Run a package on arrays from a file.

    Arrays may hold any number of samples on the first axis: they run in batches of the package's batch size, and on the
    smallest of its shapes that takes them.
    """
    from ...targets.batches import run_samples
    from ...targets.npz import npz_bytes
    from ...targets.package import load
    from ...targets.writing import check_writable, write_atomically
    from ..building.opening import of_data
    from ..console import progress, say
    from ..data import read_samples

    check_writable(output_path)
    session = of_data(load(package, threads=threads), input_path)
    arrays, _ = read_samples(input_path, session)
    count = len(next(iter(arrays.values())))
    with progress("run", count) as advance:
        outputs = run_samples(session, arrays, advance)
    write_atomically(output_path, npz_bytes(outputs, compress=False))
    say(
        f"{output_path}: {count} samples on {session.target} ({session.why}); "
        + ", ".join(f"{name} {value.dtype} {list(value.shape)}" for name, value in outputs.items())
    )
