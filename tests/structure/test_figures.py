"""Docstrings and comments say reasons; what a machine measured stands in docs/architecture.md, "Fitted constants". In
the documents a figure stands beside what makes it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("passes", "targets", "tuning", "tools", "tests")
SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
NETWORKS = r"(?:ResNet|MobileNet|BERT-base|YOLO|DenseNet|EfficientNet|Whisper|MiniLM)"
CHANGE = r"(?:gains?|gained|loses?|lost|costs?|faster|slower|worse|better|error of|by)"
# A share of a time, what something took, gained or lost, how a network fared, and what says that it was measured.
FIGURE = re.compile(
    r"\d[\d.,]*(?: to \d[\d.]*)? (?:of|times) (?:the|its|their) (?:time|size)"
    r"|(?:takes?|took|costs?) (?:about |some )?\d[\d.,]* ?(?:us|ns|ms)\b"
    rf"|{CHANGE} (?:by |of )?\d[\d.,]*(?: to \d+)? ?(?:%|dB)"
    rf"|{NETWORKS}[^.;]*\d ?(?:%|dB)|\d ?(?:%|dB)[^.;]*{NETWORKS}"
    r"|[Mm]easured (?:on|at|with|:)[^.;]*\b\d"
)
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
UNIT = re.compile(r"\d ?(?:ms|us|ns|dB|MB|GB|%|CPU (?:ms|seconds|minutes))(?!\w)")
# A command, a script, the file whose constant it is, or the document that has these.
MAKER = re.compile(
    r"`[^`]*\b(?:octet \w|compile-model|make \w|pip |nm )[^`]*`|[\w/]+\.(?:py|c|cpp)\b|\]\([\w./]*\.md[^)]*\)"
)
ALLOWED = {"tools/training/variants.py": "by how much pictures are scaled"}


def prose(text):
    """What stands in three quotes, and the comments, those of neighbouring lines joined."""
    for quoted in re.findall(r'"""(.*?)"""', text, re.S):
        yield " ".join(quoted.split())
    lines = [re.search(r"(?:^|\s)# ?(.*)", line) for line in text.splitlines()]
    joined = "\n".join(line[1] if line else "" for line in lines)
    for block in joined.split("\n\n"):
        yield " ".join(block.split())


def figures(text):
    return [found[0] for each in prose(text) for found in FIGURE.finditer(each)]


def test_no_source_quotes_a_measurement():
    found = {str(path.relative_to(ROOT)): figures(path.read_text()) for path in SOURCES}
    assert {name: quoted for name, quoted in found.items() if quoted and name not in ALLOWED} == {}
    assert all(found[name] for name in ALLOWED), "allowed for nothing"


@pytest.mark.parametrize(
    "sentence",
    [
        "These gain from weaving, 8 % of BERT-base.",
        "Layers without it: 0.68 to 0.80 of their time.",
        "LDTILECFG takes about 200 ns.",
        "fitting it made the outputs worse, by 1 to 4 dB",
        "Measured with 12 heads.",
        "told with a mean error of 10 %",
    ],
)
def test_measurements_are_found(sentence):
    assert figures(f'"""{sentence}"""') and figures(f"# {sentence}\n")


@pytest.mark.parametrize(
    "sentence", ["A dot product of tiles takes 16 cycles.", "relative squared error (20 dB)", "two pipes of 128 bits"]
)
def test_constants_of_manuals_and_limits_are_not(sentence):
    assert not figures(f'"""{sentence}"""') and not figures(f"# {sentence}\n")


def without_maker(text):
    """Paragraphs with a figure and without what makes it: in them, beside them or, of a table, in its section."""
    lonely = []
    for section in re.split(r"^(?=#+ )", re.sub(r"^```.*?^```", "`octet bench`", text, flags=re.M | re.S), flags=re.M):
        blocks = section.split("\n\n")
        for at, block in enumerate(blocks):
            near = section if block.startswith("|") else "\n".join(blocks[max(0, at - 1) : at + 2])
            if UNIT.search(block) and not MAKER.search(near):
                lonely.append(block)
    return lonely


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_a_figure_stands_beside_what_makes_it(document):
    assert without_maker(document.read_text()) == []


def test_a_figure_by_itself_is_found():
    alone = "It takes 3 ms, before 4."
    assert without_maker(f"# A\n\nRun it.\n\n{alone}\n\n## B\n\n`octet bench a.octet` says it.") == [alone]
    assert not without_maker(f"# A\n\n```\noctet bench a\n```\n\n{alone}") and not without_maker("16 of 32 bits.")


@pytest.mark.parametrize(
    "title, script",
    [("Constants beside schedules", "fit_constants.py"), ("Schedules and their alternatives", "fit_schedules.py")],
)
def test_the_table_is_what_its_script_prints(title, script):
    """As far as another machine can tell: its rows."""
    source = (ROOT / "tests" / "measure" / script).read_text()
    (listed,) = re.findall(rf"^### {title}\n[\s\S]*?\n(\|[\s\S]*?)\n*(?:^#|\Z)", ARCHITECTURE, re.M)
    rows = [line.split(" | ")[0].removeprefix("| ") for line in listed.splitlines()[2:]]
    assert rows == re.findall(r'(?:-> Iterator\[Choice\]|\(rounds: int\) -> str):\n    """(.+)"""', source)


def test_every_constant_says_what_makes_it_or_that_it_is_a_rule():
    (table,) = re.findall(r"^\| constant \|.*\n\|[-|]+\n((?:\|.*\n)+)", ARCHITECTURE, re.M)
    for line in table.splitlines():
        _, source, reason, command = (cell.strip() for cell in line.strip("|").split("|"))
        assert (ROOT / re.findall("`([^`]+)`", source)[0]).is_file(), line
        scripts = re.findall(r"tests/[\w/]+\.py", command)
        assert all((ROOT / script).is_file() for script in scripts), line
        assert (not command) == reason.startswith("rule: "), line
        assert not command or scripts or command == "`octet bench --profile`", line
