"""No output of a command may take the place of another file that the same command names: a trained network is not
replaced by its package."""

import os

import click

from ..targets.errors import OctetError

# Parameters of these names name a file to write.
_OUTPUTS = frozenset({"output", "output_path", "report", "derivation", "html", "json_path", "path"})
# Parameters with these metavars name no file.
_WORDS = frozenset({None, "NAME", "NAMES", "NET", "PASS", "TIME", "I/N", "HOST:PORT"})


def refuse_overwriting(context: click.Context) -> None:
    """Raises OctetError where an output and another parameter of the command are one file, by whatever path."""
    named = {parameter: (context.params.get(parameter.name)) for parameter in context.command.params}
    files = [
        (parameter, value)
        for parameter, value in named.items()
        if isinstance(value, str)
        and value
        and "://" not in value
        and parameter.type.name == "text"
        and parameter.metavar not in _WORDS
    ]
    for parameter, value in files:
        if parameter.name not in _OUTPUTS:
            continue
        for other, named_too in files:
            if other is not parameter and os.path.realpath(value) == os.path.realpath(named_too):
                raise OctetError(
                    f"{_shown(parameter)} {value}: {_shown(other)} names the same file, which would be lost; name "
                    "another output"
                )


def _shown(parameter):
    return (
        parameter.opts[0]
        if isinstance(parameter, click.Option)
        else parameter.make_metavar(click.Context(click.Command("")))
    )
