"""Comments of all rooms are sentences: a capital or a name of code at the beginning, a full stop at the end. Whether
one has a verb and stands alone is for its reader to judge. Docstrings of the examples, which a newcomer reads first,
begin with what a thing does, not with its result."""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").rglob("*.py"))
DIRECTIVE = re.compile(r"# ?(?:noqa|type:|fmt:)|\s+# ?(?:noqa|type:|fmt:).*")
SENTENCE = re.compile(r"(?:[^a-z]|[a-z]\w*[^\w\s,;:']).*[.?](?:\))?", re.S)


def comments(text):
    """(line, text) of each; lines of their own that follow each other are one."""
    found = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT or DIRECTIVE.match(token.string):
            continue
        (line, column), alone = token.start, not token.line[: token.start[1]].strip()
        words = DIRECTIVE.sub("", token.string).lstrip("# ")
        if alone and found and found[-1][2:] == (line - 1, column):
            found[-1] = (found[-1][0], f"{found[-1][1]} {words}", line, column)
        else:
            found.append((line, words, line if alone else None, column))
    return [(line, words) for line, words, *_ in found]


def fragments(text):
    return [(line, words) for line, words in comments(text) if not SENTENCE.fullmatch(words)]


def begun_with_a_result(text):
    """Names of what has a docstring that begins with no capital: with a shape, a tuple, a field, an equation."""
    defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, defined)]
    return [node.name for node in found if not (ast.get_docstring(node) or "It")[0].isupper()]


@pytest.mark.parametrize("room", ["passes", "targets", "tuning", "tools", "tests", "examples", "stubs"])
def test_comments_are_sentences(room):
    found = {str(path.relative_to(ROOT)): fragments(path.read_text()) for path in (ROOT / room).rglob("*.py")}
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_docstrings_of_examples_begin_with_what_a_thing_does():
    found = {str(path.relative_to(ROOT)): begun_with_a_result(path.read_text()) for path in EXAMPLES}
    assert len(found) > 30 and {path: names for path, names in found.items() if names} == {}
    assert begun_with_a_result('def f():\n    """[N, 3] of x."""\n\n\nclass A:\n    """Adds."""\n') == ["f"]


@pytest.mark.parametrize(
    "text, lines",
    [
        ("x = 1  # bytes of a row\n", [1]),
        ("x = 1  # A row has these bytes.\n", []),
        ("# A row has\n# these bytes.\nx = 1  # no more\n", [3]),
        ("# octet.pad's bytes are no row's.\n# (They follow it.)\n", []),
        ("x = []  # Nothing fits.  # fmt: skip\ny = 1  # noqa: E741\n", []),
        ("# a row's bytes follow it.\n", [1]),
    ],
)
def test_fragments_are_found(text, lines):
    assert [line for line, _ in fragments(text)] == lines
