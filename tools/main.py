"""The entry points: `octet` with its commands, and `compile-model`. Commands import what they need when they run: help is instant."""

import click

from .bench import bench
from .calibrate import calibrate
from .compile import compile_command
from .db import db
from .errors import Group
from .evaluate import evaluate
from .inspect import inspect
from .measure import measure
from .quantize import quantize
from .run import run
from .study import study
from .targets import targets
from .tune import tune
from .verify import verify
from .worker import worker


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="octet", message="octet %(version)s")
def main():
    """Compiles trained fp32 ONNX networks into fast, deployable int8 modules.

    Exit status: 0 done; 2 the input is wrong (one line says what, where and what to do); 3 the accuracy target was missed
    (the package is still written); 1 a bug.
    """


for command in (compile_command, evaluate, run, bench, inspect, quantize, calibrate, study, targets, verify, tune, measure, db, worker):
    main.add_command(command)

compile_model = compile_command
