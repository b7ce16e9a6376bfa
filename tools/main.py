"""The entry points: `octet` with its commands, and `compile-model`. Commands import what they need when they run: help
is instant."""

from importlib.metadata import PackageNotFoundError, version

import click

from .commands.bench import bench
from .commands.calibrate import calibrate
from .commands.compile import compile_command
from .commands.db import db
from .commands.evaluate import evaluate
from .commands.export import export
from .commands.finetune import finetune
from .commands.inspect import inspect
from .commands.measure import measure
from .commands.quantize import quantize
from .commands.rebuild import rebuild
from .commands.run import run
from .commands.sign import keygen, sign
from .commands.study import study
from .commands.targets import targets
from .commands.tune import tune
from .commands.verify import verify
from .commands.worker import worker
from .errors import CommandGroup


def _versions(context, _, asked):
    """Of Octet, and of the TVM that compiles, whose versions the bytes of a package depend on."""
    if not asked or context.resilient_parsing:
        return
    try:
        compiler = f"apache-tvm {version('apache-tvm')}"
    except PackageNotFoundError:
        compiler = "no apache-tvm: runs packages, does not compile them"
    click.echo(f"octet {version('octet')} ({compiler})")
    context.exit()


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_versions,
    help="Show the versions of Octet and of TVM.",
)
def main():
    """Compiles trained fp32 ONNX networks into fast, deployable int8 modules.

    Exit status: 0 done; 2 the input is wrong (one line says what, where and what to do); 3 the accuracy target was
    missed (the package is still written); 1 a bug.
    """


for command in (
    compile_command,
    evaluate,
    run,
    bench,
    inspect,
    quantize,
    calibrate,
    study,
    finetune,
    targets,
    verify,
    rebuild,
    export,
    keygen,
    sign,
    tune,
    measure,
    db,
    worker,
):
    main.add_command(command)

compile_model = compile_command
