"""What is printed goes through the console, which shows the names that come from files and never obeys them."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for room in ("passes", "targets", "tuning", "tools") for path in (ROOT / room).rglob("*.py"))
MAY = {
    "tools/console.py",  # Its say is how all else prints.
    "tools/errors.py",  # It prints the one line of an error, escaped.
    "tools/commands/ir_options.py",  # It prints a listing of many lines, escaped.
    "tools/main.py",  # It prints the versions.
    "tools/commands_page.py",  # It prints a page of the documents.
    # It runs where neither click nor rich is installed; a schema keeps control characters out of its names.
    "targets/measure/__main__.py",
    "targets/measure/child.py",  # It prints JSON for its parent.
}


def prints(text) -> list[int]:
    """Lines that print without the console. Texts without the words are not parsed."""
    ways = ("print", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write")
    tree = ast.parse(text if any(way in text for way in ways) else "")
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call.lineno for call in calls if ast.unparse(call.func) in ways]


def test_nothing_prints_past_the_console():
    found = {str(path.relative_to(ROOT)): lines for path in SOURCES if (lines := prints(path.read_text()))}
    assert found.keys() == MAY, found
    assert prints("click.echo(name)\nconsole.print(name)\nprint(1)") == [1, 3]
