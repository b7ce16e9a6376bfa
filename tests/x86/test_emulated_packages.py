"""LLVM IR of kernels: complete, the same for the same kernels, refused where it cannot be emulated; `octet verify
--emulate` of CPU variants."""

import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from octet.targets import detect, registry
from octet.targets.errors import PackageError
from octet.targets.opening import open_session
from octet.targets.package import Package, failed_outputs, read_package, selftest_of
from octet.targets.x86.emulation.emulated_variant import emulated
from octet.targets.x86.emulation.source import BASE, INSTRUCTIONS, for_machine
from octet.tools.building import packages
from octet.tools.main import main

sys.path.insert(0, str(Path(__file__).parent))
from rule_harness import build, dequantize, network, quantize, samples

ROOT = Path(__file__).resolve().parent.parent.parent
LEVELS = [spec for spec in registry.TARGETS.values() if spec.machine == "x86_64"]


def test_every_instruction_that_kernels_name_has_a_portable_spelling():
    named = {
        name
        for room in ("x86", "arm64")
        for path in (ROOT / "targets" / room).rglob("*.py")
        if path.parent.name != "emulation" and path.name != "portable.py"
        for name in re.findall(r"llvm\.((?:x86|aarch64)\.[a-z0-9._]+)", path.read_text())
    }
    assert named and named <= BASE | INSTRUCTIONS.keys(), named - BASE - INSTRUCTIONS.keys()
    assert INSTRUCTIONS.keys() <= named, "a spelling of what no kernel uses"


def test_an_instruction_without_a_spelling_is_refused():
    with pytest.raises(ValueError, match="no portable spelling of x86.avx512.kand"):
        for_machine("declare void @llvm.x86.avx512.kand()\n", registry.find("x86-64-v3"))


@pytest.fixture(scope="module")
def variants():
    shapes = {"x": (2, 40, 6, 6)}
    module, inputs = network(shapes, lambda b, x: dequantize(b, quantize(b, x))), samples(shapes)
    return [build(module, inputs, spec.name) for spec in LEVELS], build(module, inputs, LEVELS[0].name), inputs


def test_the_same_kernels_are_the_same_text(variants):
    made, again, _ = variants
    assert made[0].source == again.source and "!" not in made[0].source.replace("!=", "")


def test_a_package_is_emulated(variants, tmp_path):
    made, _, inputs = variants
    native = next(variant for variant in made if variant.target == detect.native().name)
    path = tmp_path / "all.octet"
    Package(tuple(made), {}, selftest_of(open_session(native), inputs)).save(path)
    assert [str(variant.source) for variant in read_package(path).variants] == [variant.source for variant in made]
    done = CliRunner().invoke(main, ["verify", str(path), "--emulate"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    for spec in LEVELS:
        assert (
            f"{spec.name}{' (emulated)' if detect.missing(spec.features) else ''}: byte for byte as recorded"
            in done.output
        )
    lacking = [spec.name for spec in LEVELS if detect.missing(spec.features)]
    plain = CliRunner().invoke(main, ["verify", str(path)])
    assert all(f"{name}: not run" in plain.output for name in lacking)


@pytest.mark.parametrize(
    "text, said",
    [
        ("declare void @llvm.x86.avx512.kand()\n", "no portable spelling of x86.avx512.kand"),
        ("define nonsense\n", "LLVM IR cannot be compiled here"),
    ],
)
def test_what_this_version_cannot_read_is_one_line(variants, text, said):
    with pytest.raises(PackageError, match=said) as raised:
        emulated(replace(variants[0][0], source=text))
    assert "\n" not in str(raised.value)


def test_machine_code_alone_is_refused(variants):
    with pytest.raises(PackageError, match="machine code only.*compile the package again"):
        emulated(replace(variants[0][0], source=""))


def test_a_package_for_other_machines_has_a_self_test(variants, monkeypatch):
    """Here nothing runs as it is, so the best variant is emulated."""
    made, _, _ = variants
    with monkeypatch.context() as patch:
        patch.setattr(packages, "detect", SimpleNamespace(missing=lambda features: ("something",)))
        found = packages.with_selftest(Package(tuple(made), {}))
    native = next(variant for variant in made if variant.target == detect.native().name)
    assert found.selftest and failed_outputs(open_session(native), found.selftest) == ()
