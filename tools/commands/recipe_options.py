"""Options of the recipe that several commands take; nothing of the compiler is imported for them."""

import click

PRECISIONS = ("int8", "float")
SOFTMAXES = ("float", "table")
FLOATS = ("fp32", "bf16")


def precision_options(command):
    """--attention, --residuals, --softmax: what may be int8 besides the layers; --float: the others; None where the
    user did not say.
    --float-layers, --int8-layers: globs, none where the user did not say."""
    options = (
        click.option(
            "--attention",
            type=click.Choice(PRECISIONS),
            help="Both matmuls of an attention [default: int8; compile-model measures].",
        ),
        click.option(
            "--residuals",
            type=click.Choice(PRECISIONS),
            help="The sums in front of layer normalisations [default: int8; compile-model measures].",
        ),
        click.option(
            "--softmax",
            type=click.Choice(SOFTMAXES),
            help="table: in whole numbers, where no mask comes in [default: float].",
        ),
        click.option(
            "--float",
            "floats",
            type=click.Choice(FLOATS),
            help=(
                "What layers that stay in float multiply; sums are fp32 [default: fp32]. bf16 needs a CPU target that "
                "has it."
            ),
        ),
        click.option(
            "--float-layers",
            multiple=True,
            metavar="GLOB",
            help="Operators to leave in float, by name ('layer4.*') or type ('op:matmul'). May be repeated.",
        ),
        click.option(
            "--int8-layers",
            multiple=True,
            metavar="GLOB",
            help="Operators that stay in int8, whatever would leave them in float. May be repeated.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command
