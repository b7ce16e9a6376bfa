"""octet verify --all: every variant in every way, a table, and what is said of those that cannot be run. The right
variant for an arm64 machine."""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from octet.targets import detect, registry
from octet.targets.arm64 import emulator
from octet.targets.cuda.running import driver
from octet.targets.errors import OctetError, PackageError, TargetError
from octet.targets.native.link import run_compiler
from octet.targets.opening import open_session
from octet.targets.package import Package, load, selftest_of
from octet.tools.main import main

sys.path.insert(0, str(Path(__file__).parents[1] / "x86"))
from rule_harness import build, dequantize, network, quantize, samples

ARM = [spec for spec in registry.TARGETS.values() if spec.machine == "aarch64"]
needs_cross = pytest.mark.skipif(bool(emulator.lacking()), reason=emulator.lacking())


@pytest.fixture(scope="module")
def package():
    shapes = {"x": (2, 24, 3, 5)}
    module, inputs = network(shapes, lambda b, x: dequantize(b, quantize(b, x))), samples(shapes)
    variants = tuple(build(module, inputs, name) for name in (detect.native().name, *(spec.name for spec in ARM)))
    return Package(variants, {}, selftest_of(open_session(variants[0]), inputs))


def verified(package, folder, *options):
    package.save(folder / "all.octet")
    return CliRunner().invoke(main, ["verify", str(folder / "all.octet"), *options], catch_exceptions=False)


def lines_of(output, target):
    return [" ".join(line.split()) for line in output.splitlines() if line.split()[:1] == [target]]


@needs_cross
def test_every_variant_runs_in_every_way(package, tmp_path):
    done = verified(package, tmp_path, "--all")
    assert done.exit_code == 0, done.output
    assert lines_of(done.output, detect.native().name) == [
        f"{detect.native().name} on this machine byte for byte as recorded"
    ]
    for spec in ARM:
        ways = ("its machine code under QEMU", "its instructions spelled portably")
        assert lines_of(done.output, spec.name) == [f"{spec.name} {how} byte for byte as recorded" for how in ways]
    plain = verified(package, tmp_path)
    assert all(
        f"{spec.name}: not run, it is for aarch64, this CPU is x86_64; --emulate does without" in plain.output
        for spec in ARM
    )


@needs_cross
def test_another_byte_is_found_in_every_way(package, tmp_path):
    wrong = dict(package.selftest)
    wrong["output/out0"] = wrong["output/out0"] + 1
    done = verified(replace(package, variants=package.variants[:2], selftest=wrong), tmp_path, "--all")
    assert done.exit_code == 2 and done.output.count("differs in out0") == 1 + 2


@needs_cross
def test_without_qemu_the_table_says_so(package, tmp_path, monkeypatch):
    monkeypatch.setattr(emulator, "QEMU", "no-such-emulator")
    done = verified(package, tmp_path, "--all")
    assert done.exit_code == 0
    for spec in ARM:
        assert lines_of(done.output, spec.name) == [
            f"{spec.name} not run as machine code: no-such-emulator is not installed (Debian: qemu-user)",
            f"{spec.name} its instructions spelled portably byte for byte as recorded",
        ]


def test_machine_code_goes_to_the_emulator_of_its_processor(monkeypatch):
    """Whether or not this machine has one."""
    variants = [SimpleNamespace(target=spec.name) for spec in ARM]
    monkeypatch.setattr(emulator, "lacking", lambda: "")
    for variant in variants:
        machine_code, portable = registry.TARGETS[variant.target].backend.emulations(variant)
        assert machine_code.lacks == "" and "QEMU" in machine_code.how and "portably" in portable.how
        (session,) = machine_code.sessions([variant])
        assert isinstance(session, emulator.EmulatedArm64Session)


@needs_cross
def test_a_machine_is_given_its_variant(package, monkeypatch):
    for spec in ARM:
        monkeypatch.setattr(detect, "cpu_features", lambda spec=spec: spec.features)
        assert package.best() == next(variant for variant in package.variants if variant.target == spec.name)
    monkeypatch.setattr(detect, "cpu_features", lambda: frozenset({"fp"}))
    with pytest.raises(PackageError, match="arm64-neon needs asimd"):
        package.best()


@needs_cross
def test_one_package_for_x86_arm64_and_gpus(package, tmp_path, monkeypatch):
    """Every machine takes its own variant, and all of them are named wherever the package is looked at."""
    shapes = {"x": (2, 24, 3, 5)}
    module, inputs = network(shapes, lambda b, x: dequantize(b, quantize(b, x))), samples(shapes)
    try:
        gpu = build(module, inputs, "cuda-sm80")
    except TargetError as error:
        pytest.skip(str(error))
    host, *arm = (variant for variant in package.variants if variant.target in (detect.native().name, "arm64-dotprod"))
    info = {
        "model": {"name": "toy", "sha256": "0" * 64, "batch": 2},
        "recipe": {},
        "operators": {"int8": 0, "float": 0, "reasons": []},
    }
    whole = Package((host, *arm, gpu), info, package.selftest)
    names = [variant.target for variant in whole.variants]
    done = verified(whole, tmp_path, "--all", "--orders", "1")
    assert (
        done.exit_code == 0 and "differs" not in done.output and all(lines_of(done.output, name) for name in names)
    ), done.output
    inspected = CliRunner().invoke(main, ["inspect", str(tmp_path / "all.octet")])
    assert inspected.exit_code == 0 and all(lines_of(inspected.output, name) for name in names), inspected.output
    with load(tmp_path / "all.octet") as session:
        assert session.target == (names[0] if driver.device() is None else "cuda-sm80")
    monkeypatch.setattr(driver, "device_features", lambda: frozenset({"cuda_sm80"}))
    assert whole.best().target == "cuda-sm80"
    monkeypatch.setattr(driver, "device_features", frozenset)
    assert whole.best().target == names[0]
    monkeypatch.setattr(detect, "cpu_features", lambda: registry.TARGETS["arm64-i8mm"].features)
    assert whole.best().target == "arm64-dotprod"


def test_features_of_arm64_in_cpuinfo():
    assert detect.flags_of("processor\t: 0\nFeatures\t: fp asimd asimddp i8mm\n\nprocessor\t: 1\nFeatures\t: fp\n") == {
        "fp",
        "asimd",
        "asimddp",
        "i8mm",
    }


@pytest.mark.parametrize(
    "level, words", [("neon", (1 << 1, 0)), ("dotprod", (1 << 1 | 1 << 20, 0)), ("i8mm", (1 << 1 | 1 << 20, 1 << 13))]
)
def test_features_of_arm64_are_what_the_process_is_told(level, words):
    auxiliary = {16: words[0] | 1 << 5, 26: words[1] | 1 << 2}
    assert detect.auxiliary_flags(auxiliary.get) == registry.TARGETS[f"arm64-{level}"].features


def test_no_compiler_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC_AARCH64", raising=False)
    with pytest.raises(
        OctetError,
        match=(
            "building for aarch64 needs a C compiler, and there is none; install aarch64-linux-gnu-gcc .* or name one "
            "in CC_AARCH64"
        ),
    ):
        run_compiler(tmp_path, machine="aarch64")
