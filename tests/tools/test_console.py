"""Tables and texts of files: bounded, and text in a terminal whatever they hold."""

import io

import pytest

from octet.tools.console import MOST_CHARACTERS, MOST_ROWS, plain_console, say, text_table

HOSTILE = (
    "\x1b[31mred",
    "\x1b]0;title\x07",
    "[bold red]x[/]",
    "[link=http://a]b[/link]",
    ":smile:",
    "\u202egnp",
    "a\rb",
    "\x9b31m",
)


def printed(what):
    console = plain_console(file=io.StringIO(), width=160, force_terminal=True, color_system=None)
    console.print(what)
    return console.file.getvalue()


def test_a_table_of_any_number_of_rows_and_cells_of_any_length():
    said = printed(text_table("all", ("name",), [("x" * 5000,), *((f"row {i}",) for i in range(MOST_ROWS + 6))]))
    assert "7 more rows are not shown" in said and f"row {MOST_ROWS - 2}" in said and f"row {MOST_ROWS - 1}" not in said
    assert said.count("x") == MOST_CHARACTERS and "..." in said


def test_a_table_that_a_person_reads_is_whole():
    said = printed(text_table("all", ("name",), [(f"row {i}",) for i in range(MOST_ROWS)]))
    assert "more rows" not in said and f"row {MOST_ROWS - 1}" in said


@pytest.mark.parametrize("text", HOSTILE)
def test_markup_and_control_characters_are_shown(text):
    plain = (
        text.replace("\x1b", "\\x1b")
        .replace("\x07", "\\x07")
        .replace("\u202e", "\\u202e")
        .replace("\r", "\\r")
        .replace("\x9b", "\\x9b")
    )
    for what in (text, text_table(text, (text,), [(text,)])):
        assert plain in printed(what).replace("\x1b[1m", "").replace("\x1b[0m", "").replace("\x1b[3m", "").replace(
            "\x1b[23m", ""
        )


def test_a_path_with_line_breaks_is_one_line(capsys):
    say("a\x1b[31m\nnet.octet: signed by\r you [bold]")
    assert capsys.readouterr().out == "a\\x1b[31m\\nnet.octet: signed by\\r you [bold]\n"
    for what in ("a\nb", text_table("made", ("name",), [("a\nb",)])):
        assert "a\\nb" in printed(what)
