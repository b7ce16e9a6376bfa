"""The names that users rely on, and what importing them costs."""

import ast
import subprocess
import sys

import octet


def test_every_public_name_resolves():
    for name in octet.__all__:
        assert getattr(octet, name) is not None
    assert {"load_onnx", "quantize", "Recipe", "compile", "load"} <= set(octet.__all__)


def test_checkers_see_the_same_names():
    with open(octet.__file__) as file:
        seen = [node for node in ast.walk(ast.parse(file.read())) if isinstance(node, ast.ImportFrom) and node.level]
    assert {alias.name: f".{node.module}" for node in seen for alias in node.names} == octet._WHERE


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_loading_imports_no_compiler(toy_package):
    code = f"""
import sys, numpy as np, octet
session = octet.load({str(toy_package)!r})
session.run({{"x": np.ones((4, 16), np.float32)}})
print([name for name in ("tvm", "torch", "onnx", "octet.passes") if name in sys.modules])
"""
    assert python(code) == "[]"


def test_help_imports_nothing_heavy():
    assert (
        python("import sys, octet.tools.main; print([n for n in ('tvm', 'numpy', 'onnx', 'rich') if n in sys.modules])")
        == "[]"
    )
