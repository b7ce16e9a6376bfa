"""The reference of all commands, docs/commands.md, from the commands themselves: `make docs`, or `python -m
octet.tools.commands_page > docs/commands.md`."""

import inspect
import sys

import click

_HEAD = """# Commands

What each says with `--help`, from which this page is made (`make docs`). `compile-model` is `octet compile`.
"""


def page(root: click.Group) -> str:
    """Markdown: a chapter per command, in the order of their names, those of a group behind it."""
    return "\n".join([_HEAD, *_chapters(root, ("octet",))])


def _chapters(group, names):
    for name, command in sorted(group.commands.items()):
        if command.hidden:
            continue
        yield from _chapter(command, (*names, name))
        if isinstance(command, click.Group):
            yield from _chapters(command, (*names, name))


def _chapter(command, names):
    context = click.Context(command, info_name=" ".join(names))
    title = " ".join(names)
    usage = (
        ""
        if isinstance(command, click.Group)
        else f"```\n{' '.join([title, *command.collect_usage_pieces(context)])}\n```\n\n"
    )
    yield f"## {title}\n\n{usage}{_paragraphs(command.help)}\n"
    rows = [record for one in command.params if (record := one.get_help_record(context)) and record[1]]
    if rows:
        yield "| option | |\n|---|---|"
        yield "\n".join(f"| `{_cell(option)}` | {_cell(said)} |" for option, said in rows) + "\n"


def _paragraphs(text):
    """As click wraps them; those after \\b keep their lines."""
    made = []
    for paragraph in inspect.cleandoc(text or "").split("\n\n"):
        lines = paragraph.splitlines()
        made.append("\n".join(["```", *lines[1:], "```"]) if lines and lines[0].strip() == "\b" else " ".join(lines))
    return "\n\n".join(made)


def _cell(text):
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    from .main import main

    sys.stdout.write(page(main))
