"""What the documents name exists: files of the repository, commands and their options. Links: test_site.py."""

import re
from pathlib import Path

import click
import pytest

from octet.tools.commands_page import page
from octet.tools.main import main

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").glob("*.md")) + sorted((ROOT / "examples").glob("*.md"))
_ROOMS = "passes|targets|tuning|tests|tools|examples|docs"
_FILE = re.compile(rf"`((?:{_ROOMS})/[\w./-]+)(?:::[\w\[\]:-]+)?`")
_CODE = re.compile(r"^```\w*\n(.*?)^```|`([^`\n]+)`", re.M | re.S)
_COMMAND = re.compile(r"^(?:\$ )?(?:[A-Z_]+=\S+ )*((?:octet|compile-model) .*)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_exist(document):
    missing = [name for name in _FILE.findall(document.read_text()) if not list(ROOT.glob(name.rstrip("/")))]
    assert not missing


def _commands(text):
    """The command lines of a document's code, fenced or not."""
    lines = [line.strip() for fenced, span in _CODE.findall(text) for line in (fenced or span).splitlines()]
    return [found[1].split("  #")[0] for line in lines if (found := _COMMAND.match(line))]


def _unknown(line):
    """What of a command line does not exist; "" if all of it does."""
    words = line.split()
    command = main.commands["compile"] if words.pop(0) == "compile-model" else main
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        if words[0] not in command.commands:
            return words[0]
        command = command.commands[words.pop(0)]
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)} | {
        "--help",
        "-h",
    }
    return ", ".join(
        option for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", " ".join(words)) if option not in options
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_exist(document):
    unknown = {line: name for line in _commands(document.read_text()) if (name := _unknown(line))}
    assert not unknown


def _reference(text):
    """{command: its options} of a page of commands."""
    chapters = re.split(r"^## ", text, flags=re.M)[1:]
    return {
        chapter.splitlines()[0]: set(re.findall(r"^\| `(?:-\w, )?(--[\w-]+)", chapter, re.M)) for chapter in chapters
    }


def test_the_reference_of_commands_is_what_they_say():
    """By names alone: another version of click wraps and words otherwise."""
    assert _reference((ROOT / "docs" / "commands.md").read_text()) == _reference(page(main)), "run `make docs`"
    assert {"--calib", "--max-drop"} <= _reference(page(main))["octet compile"] and "octet db stats" in _reference(
        page(main)
    )


def test_the_vocabulary_says_where_names_are():
    places = [
        line.split("|")[-2].strip()
        for line in (ROOT / "docs" / "vocabulary.md").read_text().splitlines()
        if line.startswith("| ") and not line.startswith("| term")
    ]
    assert len(places) > 40
    for place in places:
        name, paths = re.fullmatch(r"(?:`(\w+)`, )?(.*)", place).groups()
        for path in (ROOT / each for each in paths.split(", ")):
            assert path.exists() and (name is None or re.search(rf"^(?:class|def) {name}\b", path.read_text(), re.M)), (
                place
            )


def test_what_does_not_exist_is_found():
    assert _commands("see `OCTET_CPU=x octet bench a`\n```\noctet gone b  # why\n```") == [
        "octet bench a",
        "octet gone b",
    ]
    assert _unknown("octet gone b") == "gone" and _unknown("octet bench --gone a") == "--gone"
    assert not _unknown("compile-model a.onnx --calib b.npz -o c.octet") and _unknown("octet db lose") == "lose"
