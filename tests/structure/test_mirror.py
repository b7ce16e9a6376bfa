"""Every file of the product that defines something is reached by a test: a new one comes with its own.

imported    a test imports the file, or a name that a package hands on from it;
mirrored    tests/<room>/test_<name>.py has its name, and its room is one of the folders that the file lies in;
named       the file fills a table (converters of ONNX, rules of lowering, commands), and a test says the key of one of
            its entries;
started     a test says the file's module, as one does that starts a process with it;
a part      a file that is reached uses it, and does more than to list it in a table: six imported names in one display,
            or joined by |. An entry whose key a test says counts.

So a pass, command or converter that is only put into its table is missed here. What else a new file is for, and whether
a test says anything of it, is for its reader to judge."""

import ast
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for room in ("passes", "targets", "tuning", "tools") for path in (ROOT / room).rglob("*.py"))
SOURCES += [ROOT / "__init__.py", ROOT / "api.py"]
TESTS = sorted((ROOT / "tests").rglob("*.py"))

TABLE = 6  # A dictionary or list of so many imported names is a table.


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("octet", *(parts[:-1] if parts[-1] == "__init__" else parts)))


FILES = {module_of(path): path for path in SOURCES}


@dataclass
class Facts:
    """Of one file; trees of all of them at once would be some million objects."""

    defines: bool  # Whether it has a class or function of its own.
    # An entry is the module, the name in it and the name here, the last two None where all of a module is meant.
    imports: list = field(default_factory=list)
    words: set = field(default_factory=set)  # Names, attributes and texts say these.
    strings: set = field(default_factory=set)
    keys: set = field(default_factory=set)  # The entries that it puts into tables have these.
    used: set = field(default_factory=set)  # These imported names stand outside of tables.
    listed: list = field(default_factory=list)  # An entry of a table of its own is its key with the imported names.


def word(node):
    """What a name or a string says; of "relax.nn.conv2d" the last word."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.rpartition(".")[2]
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else None


def nodes_at_run_time(tree):
    """Without what only a checker of types imports."""
    nodes = [tree]
    for node in nodes:
        if not (isinstance(node, ast.If) and word(node.test) == "TYPE_CHECKING"):
            nodes += ast.iter_child_nodes(node)
    return nodes


def imports_of(node, package):
    if isinstance(node, ast.Import):
        return [(alias.name, None, None) for alias in node.names]
    above = package[: len(package) + 1 - node.level] if node.level else []
    base = ".".join([*above, *([node.module] if node.module else [])])
    return [(base, alias.name, alias.asname or alias.name) for alias in node.names]


@cache
def facts_of(path):
    tree = ast.parse(path.read_text())
    facts = Facts(any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in tree.body))
    package = [*module_of(path).split("."), *(["__init__"] if path.name == "__init__.py" else [])][:-1]
    names, displays = [], []
    for node in nodes_at_run_time(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            facts.imports += imports_of(node, package)
        elif isinstance(node, ast.Constant | ast.Name | ast.Attribute):
            facts.words.add(word(node))
            if isinstance(node, ast.Name):
                names.append(node)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                facts.strings.add(node.value)
        elif isinstance(node, ast.List | ast.Tuple | ast.Set | ast.Dict):
            displays.append(node)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            displays.append(node)
    for node in tree.body:
        decorators = node.decorator_list if isinstance(node, ast.FunctionDef) else []
        facts.keys |= {word(part) for decorator in decorators for part in ast.walk(decorator)}
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            own = [part for part in ast.walk(node.value) if isinstance(part, ast.Dict)]
            facts.keys |= {word(key) for display in own for key in display.keys}
    facts.keys -= {None}
    separate(facts, names, displays)
    return facts


def separate(facts, names, displays):
    """Imported names that a file uses, from those that it lists in tables."""
    here, tabled = {name for _, _, name in facts.imports}, set()
    for display in displays:
        inside = {part: part.id for part in ast.walk(display) if isinstance(part, ast.Name) and part.id in here}
        if len(set(inside.values())) >= TABLE:
            tabled |= inside.keys()
            for key, value in zip(display.keys, display.values) if isinstance(display, ast.Dict) else ():
                if key is not None:
                    facts.listed.append((word(key), {inside[part] for part in ast.walk(value) if part in inside}))
    facts.used = {node.id for node in names if node.id in here and node not in tabled}


def modules_behind(base, name):
    """The modules of ours that an import of a name leads to, through packages that hand it on."""
    yield from {base, f"{base}.{name}"} & FILES.keys()
    if base in FILES and FILES[base].name == "__init__.py":
        for source, _, here in facts_of(FILES[base]).imports:
            if here == name and source != base:
                yield from modules_behind(source, name)


def imported(path, only=None):
    """The modules of ours that a file imports, or those of some of its names."""
    chosen = [i for i in facts_of(path).imports if only is None or i[2] is None or i[2] in only]
    return {module for base, name, _ in chosen for module in modules_behind(base, name)}


def used(path, said):
    """The modules of ours that a file does more with than to list them in a table, or lists with a key in `said`."""
    facts = facts_of(path)
    return imported(path, facts.used.union(*(names for key, names in facts.listed if key in said)))


def ways():
    """{module: how a test reaches it}."""
    reached = {module: "imported" for test in TESTS for module in imported(test)}
    names = {(room, test.stem) for test in TESTS for room in test.relative_to(ROOT / "tests").parts[:-1]}
    said = {word for test in TESTS for word in facts_of(test).words} - {None}
    strings = {string for test in TESTS for string in facts_of(test).strings}
    for module, path in FILES.items():
        command = {path.stem} if module.startswith("octet.tools.commands.") else set()
        if any((room, f"test_{path.stem}") in names for room in path.relative_to(ROOT).parts[:-1]):
            reached.setdefault(module, "mirrored")
        elif module.removesuffix(".__main__") in strings:
            reached.setdefault(module, "started")
        elif not said.isdisjoint(facts_of(path).keys | command):
            reached.setdefault(module, "named")
    new = set(reached)
    while new:
        new = {part for whole in new for part in used(FILES[whole], said)} - reached.keys()
        reached |= dict.fromkeys(new, "a part")
    return reached


def test_a_test_reaches_every_file():
    reached = ways()
    missed = [str(path.relative_to(ROOT)) for module, path in FILES.items() if module not in reached]
    missed = [path for path in missed if facts_of(ROOT / path).defines]
    assert not missed, "no test reaches these: import what they define, or name a test after them"


def test_the_guard_tells_a_use_from_a_line_in_a_table(tmp_path, monkeypatch):
    names = "abcdefgh"
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    monkeypatch.setitem(globals(), "FILES", {f"octet.{name}": tmp_path / f"{name}.py" for name in names})
    (tmp_path / "tables.py").write_text(
        f"from . import {', '.join(names)}\n"
        "LIST = [a, b(), c.x, d, e, f]\n"
        "DICT = {'one': b, 'some.two': c, **d, KEY: e, 3: f, 'six': g}\n"
        "OTHERS = a.TABLE | h.TABLE\n"
    )
    assert imported(tmp_path / "tables.py") == {f"octet.{name}" for name in names}
    assert used(tmp_path / "tables.py", {"two", "KEY"}) == {"octet.a", "octet.c", "octet.e", "octet.h"}
