"""octet worker: lends this machine to tuning sessions elsewhere."""

import warnings

import click

from ..errors import Command


@click.command(cls=Command)
@click.option(
    "--tracker",
    required=True,
    metavar="HOST:PORT",
    help="A TVM RPC tracker: python -m tvm.exec.rpc_tracker --host HOST --port PORT.",
)
@click.option("--key", required=True, help="What sessions ask the tracker for; give equal machines the same key.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Interface to listen on; the tracker tells it to the sessions.",
)
@click.option("--threads", type=click.IntRange(min=1), help="Cores for kernels [default: all].")
def worker(tracker, key, host, threads):
    """Measure kernels for `octet tune --tracker`, until interrupted. Whoever reaches the port can run code here:
    trusted networks only."""
    from ...targets import detect
    from ...targets.errors import OctetWarning
    from ...tuning.fleet import LOOPBACK, serve

    who = "every user of this machine" if host in (LOOPBACK, "localhost", "::1") else f"whoever reaches {host}"
    warnings.warn(f"octet worker: {who} can run code here as the user who started it", OctetWarning, stacklevel=2)
    serve(tracker, key, host, threads if threads is not None else detect.cores())
