"""Options of the commands that measure accuracy; nothing of the compiler is imported for them."""

import click

METRIC_HELP = (
    "top1, top5, f1, mse, sqnr, cosine, iou, map, edit, retrieval, pearson, spearman (iou@0.3: with a value), or "
    "package.module:function."
)


def output_names(*spellings):
    """--output-name, repeatable, none where the user did not say. spellings: others of it, where they are no option of
    the command already."""
    return click.option(
        "--output-name",
        *spellings,
        "output_names",
        multiple=True,
        metavar="NAME",
        help="The output to measure, may be repeated [default: the worst of all].",
    )
