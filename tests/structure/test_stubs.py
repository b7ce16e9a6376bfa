"""What `stubs` says of TVM is what the installed TVM has: every module, function, class, method and field."""

import ast
import importlib.util
import inspect
import re
from pathlib import Path

import pytest

STUBS = Path(__file__).resolve().parents[2] / "stubs"
FILES = sorted(STUBS.rglob("*.pyi"))


def name_of(path):
    """The module that a stub is of."""
    parts = path.relative_to(STUBS).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def own_names(tree):
    """(name, its members) of what a stub declares: functions, classes and variables; private helpers aside."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node, ()
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            members = [each.name for each in node.body if isinstance(each, ast.FunctionDef)]
            members += [each.target.id for each in node.body if isinstance(each, ast.AnnAssign)]
            members += [each.targets[0].id for each in node.body if isinstance(each, ast.Assign)]
            yield node.name, node, tuple(name for name in members if name not in ("__init__", "__getattr__"))
        elif isinstance(node, ast.AnnAssign):
            yield node.target.id, node, ()


def module_of(path):
    """A module, or what TVM lets stand for one under its own name (tvm.transform)."""
    name = name_of(path)
    if importlib.util.find_spec(name) is not None:
        return importlib.import_module(name)
    parent, _, own = name.rpartition(".")
    return getattr(importlib.import_module(parent), own)


def has(found, member):
    """Of a class, or of a class below it: operators are methods of all expressions that kernels and graphs have."""
    return (
        hasattr(found, member)
        or any(has(below, member) for below in type.__subclasses__(found))
        or re.search(rf"self\.{member}\b[^\n=]*=", inspect.getsource(found)) is not None
    )


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_tvm_has_what_the_stubs_say(path):
    module = module_of(path)
    for name, _, members in own_names(ast.parse(path.read_text())):
        assert hasattr(module, name), name
        found = getattr(module, name)
        for member in members if inspect.isclass(found) else ():
            assert has(found, member), f"{name}.{member}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_tvm_takes_the_arguments_that_the_stubs_say(path):
    module = module_of(path)
    for name, node, _ in own_names(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and inspect.isfunction(getattr(module, name)):
            taken = inspect.signature(getattr(module, name)).parameters
            if not any(one.kind is inspect.Parameter.VAR_KEYWORD for one in taken.values()):
                given = [each.arg for each in node.args.kwonlyargs]
                assert set(given) <= set(taken), f"{name}: {given}"


def test_a_name_that_tvm_lacks_is_found():
    (name, _, members) = next(own_names(ast.parse("class Op:\n    nonsense: int\n")))
    found = getattr(importlib.import_module("tvm.ir"), name)
    assert members == ("nonsense",) and not has(found, members[0]) and has(found, "name")
