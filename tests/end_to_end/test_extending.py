"""docs/extending.md, followed as it stands there: every block at the end of the file that it names, and what they add
at work."""

import importlib.util
import re
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from tvm import relax
from tvm.relax.frontend.onnx import onnx_frontend

from octet.passes import environment, ops
from octet.passes.annotate import Recipe
from octet.passes.lower.batch import rules as batch
from octet.passes.lower.cpu.rules import RULES as CPU
from octet.passes.operators.registry import OPERATORS, TRAITS
from octet.passes.referee import reference
from octet.passes.repair.weights import layers_of
from octet.passes.sensitivity.assembly import rescaled
from octet.passes.sensitivity.design import Design
from octet.targets import detect
from octet.targets.errors import OctetError
from octet.targets.registry import TARGETS

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "extending.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+)\n([\s\S]*?)(?=^## |\Z)", TEXT, re.M))
OPERATOR, KERNEL, TARGET, REPAIR, UPGRADE = SECTIONS  # They stand in this order, and there are no more.


def module_of(path):
    """A file of the repository as a module; of the tests one's own, so that what is added there is gone afterwards."""
    if not path.startswith("tests/"):
        return import_module("octet." + path.removesuffix(".py").replace("/", "."))
    spec = importlib.util.spec_from_file_location("extended_" + Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Newcomer:
    """Who does what a section says. files: the namespaces of the files that were written or added to, by path."""

    def __init__(self, monkeypatch):
        self.monkeypatch, self.files = monkeypatch, {}

    def follow(self, section):
        blocks = re.findall(r"^```python\n# (\S+)\n([\s\S]*?)^```$", SECTIONS[section], re.M)
        assert len(blocks) == SECTIONS[section].count("```python") > 0, "every block names its file"
        for path, text in blocks:
            code = compile(text, f"docs/extending.md: {path}", "exec")
            if (ROOT / path).exists():
                self.append(path, code)
            else:
                self.write(path, code)

    def append(self, path, code):
        module = module_of(path)
        if path.startswith("tests/"):
            exec(code, vars(module))
            self.files[path] = vars(module)
            return
        names = {name: dict(value) if isinstance(value, dict) else value for name, value in vars(module).items()}
        exec(code, names)
        self.files[path] = names
        for name, value in vars(module).items():  # Its tables keep new entries until the end of the test.
            if isinstance(value, dict) and name != "__builtins__":
                for key in names[name].keys() - value.keys():
                    self.monkeypatch.setitem(value, key, names[name][key])
            elif isinstance(value, tuple) and names[name] != value:
                self.monkeypatch.setattr(module, name, names[name])

    def write(self, path, code):
        name = "octet." + path.removesuffix(".py").replace("/", ".")
        module = ModuleType(name)
        module.__package__ = name.rpartition(".")[0]
        self.monkeypatch.setitem(sys.modules, name, module)
        exec(code, vars(module))
        self.files[path] = vars(module)


@pytest.fixture
def newcomer(monkeypatch):
    return Newcomer(monkeypatch)


def operator(newcomer, monkeypatch):
    """Follows the section, then makes what the registries make of their families when they are imported."""
    newcomer.follow(OPERATOR)
    added = newcomer.files["passes/operators/elementwise.py"]["ELEMENTWISE"][-1]
    monkeypatch.setitem(OPERATORS, added.name, added)
    monkeypatch.setitem(TRAITS, added.name, added.traits)
    monkeypatch.setitem(batch.RULES, added.name, batch._BY_NAME[added.traits.samples])
    monkeypatch.setitem(
        reference._OPERATORS, added.name, newcomer.files["passes/referee/integer.py"]["INTEGER"][added.name]
    )
    ops.register()
    return added


def lacking(coverage, name):
    """The tables for which tests/operators/test_coverage.py names the operator."""
    found = []
    for table in coverage.TABLES:
        try:
            coverage.test_every_operator_is_in_the_table_or_named(table)
        except AssertionError as error:
            assert f"no entry for {name}" in str(error)
            found.append(table)
    return found


def test_an_operator(newcomer, monkeypatch):
    before = module_of("tests/operators/test_coverage.py")
    added = operator(newcomer, monkeypatch)
    assert re.search(rf"^{added.name} .*->", SECTIONS[OPERATOR], re.M), "its line of the contract"
    listed = re.search(r"names the tables that lack it: ([\w, ]+)\.", SECTIONS[OPERATOR])[1]
    assert lacking(before, added.name) == listed.split(", ")
    exempt = SimpleNamespace(**newcomer.files["tests/operators/test_coverage.py"])
    assert lacking(exempt, added.name) == ["x86"], "the kernel is the next section"
    definitions = module_of("tests/operators/test_definitions.py")
    for call in newcomer.files["tests/operators/examples.py"]["EXAMPLES"][added.name]:
        definitions.test_the_type_of_a_valid_call(added.name, *call)
        definitions.test_every_operand_is_checked(added.name, *call)


def test_an_operator_that_is_there():
    """The files of the section's table are those that name it."""
    name, table = re.search(r"^### .+\n`(octet\.\w+)`([\s\S]*)", SECTIONS[OPERATOR], re.M).groups()
    files = (path for room in ("passes", "targets", "tests") for path in (ROOT / room).rglob("*.py"))
    there = {str(path.relative_to(ROOT)) for path in files if name in path.read_text()}
    assert set(re.findall(r"^\| `(\S+\.py)` \|", table, re.M)) == there


def test_a_kernel(newcomer, monkeypatch):
    added = operator(newcomer, monkeypatch)
    newcomer.follow(KERNEL)
    rule = newcomer.files["passes/lower/cpu/rules_elementwise.py"]["RULES"][added.name]
    monkeypatch.setitem(CPU, added.name, [rule])
    newcomer.files["tests/x86/test_elementwise.py"]["test_negate"]("x86-64-v3")


def test_a_target(newcomer, monkeypatch):
    newcomer.follow(TARGET)
    added = newcomer.files["targets/x86/specs.py"]["SPECS"][-1]
    assert added.name not in TARGETS
    monkeypatch.setitem(TARGETS, added.name, added)
    assert detect.resolve(re.search(r"`octet compile --target (\w+)`", SECTIONS[TARGET])[1]) is added
    harness = module_of("tests/x86/test_elementwise.py")
    harness.check({"x": (2, 5, 3, 7)}, lambda b, x: [harness.quantize(b, x)], added.name)


def test_a_repair(newcomer, tmp_path):
    with pytest.raises(OctetError, match="'even' is unknown"):
        Design(Recipe(), "even")
    newcomer.follow(REPAIR)
    assert Design(Recipe(), "even").repaired
    toy = module_of("tests/repair/conftest.py").build(tmp_path / "toy.onnx")
    samples = {"x": np.random.default_rng(1).standard_normal((1, 3, 8, 8)).astype(np.float32)}
    added = newcomer.files["passes/sensitivity/assembly.py"]["WITHOUT_DATA"]["even"]
    assert not all(
        np.array_equal(a, b)
        for a, b in zip(weights(toy.module), weights(rescaled(toy, "even", dict).module), strict=True)
    )
    names = newcomer.files["tests/repair/test_scaling.py"]
    names["EvenMakers"] = type(added)
    names["test_makers_are_even"](toy, samples, reference.run)


def weights(module):
    return [layer.weight for layer in layers_of(module).values()]


def said(title):
    """What the section says that commands print."""
    blocks = re.findall(r"^```(\w*)\n([\s\S]*?)\n```$", SECTIONS[title], re.M)
    return [text for language, text in blocks if not language]


def test_an_upgrade(newcomer, monkeypatch):
    """Of a TVM that lacks what the section says: each step names it in the section's own words."""
    pair, public, private = said(UPGRADE)
    newcomer.follow(UPGRADE)
    with pytest.raises(OctetError) as wrong:
        environment.check_tvm()
    assert str(wrong.value) == pair
    stubs, privates = module_of("tests/structure/test_stubs.py"), module_of("tests/targets/test_privates.py")
    monkeypatch.delattr(relax.op, "tile")
    with pytest.raises(AssertionError) as wrong:
        stubs.test_tvm_has_what_the_stubs_say(stubs.STUBS / "tvm" / "relax" / "op" / "__init__.pyi")
    assert f"AssertionError: {str(wrong.value).splitlines()[0]}" == public
    monkeypatch.delattr(onnx_frontend, "_get_convert_map")
    with pytest.raises(AttributeError) as wrong:
        privates.test_the_converters_of_onnx()
    assert f"AttributeError: {wrong.value}" == private
