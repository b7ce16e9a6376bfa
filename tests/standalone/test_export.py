"""octet export: the folder, names, targets, and what is refused in one line without a file being left."""

import os
import platform
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

import octet
from octet.targets import detect
from octet.targets.errors import OctetError
from octet.targets.opening import open_session
from octet.targets.package import Package, selftest_of
from octet.targets.registry import TARGETS
from octet.targets.standalone.c_names import c_string, check_c_name, commented, name_of_file
from octet.targets.standalone.export import ExportForm, chosen_variant, export
from octet.targets.standalone.features import AUXILIARY, CPUID, machine_of
from octet.targets.variant import Launch, Variant
from octet.tools.main import main

FILES = {"CMakeLists.txt", "libtoy.so", "main.c", "toy.h", "toy.hpp", "toy.selftest"}


def command(*arguments):
    return CliRunner().invoke(main, ["export", *map(str, arguments)])


def refused(match, *arguments):
    done = command(*arguments)
    assert done.exit_code == 2 and re.search(match, done.output) and done.output.count("\n") == 1, done.output


def test_the_folder(toy_package, toy_variant, tmp_path):
    folder = tmp_path / "out"
    done = command(toy_package, "-o", folder)
    assert (
        done.exit_code == 0
        and done.output.startswith(f"{folder}: {toy_variant.target}; ")
        and done.output.count("\n") == 1
    )
    assert set(os.listdir(folder)) == FILES
    first = {name: (folder / name).read_bytes() for name in FILES}
    assert command(toy_package, "-o", folder).exit_code == 0  # An earlier export is replaced.
    assert first == {name: (folder / name).read_bytes() for name in FILES}  # The same package makes the same bytes.
    assert command(toy_package, "-o", folder, "--static", "--mmap").exit_code == 0
    assert set(os.listdir(folder)) == FILES - {"libtoy.so"} | {"libtoy.a", "toy.weights"}


def test_a_folder_may_have_the_name_of_the_library(toy_package, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command(toy_package, "-o", "net", "--name", "net").exit_code == 0 and (tmp_path / "net/net.hpp").is_file()


def test_foreign_files_stay(toy_package, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years of work")
    refused("out: holds thesis.tex, which is no file of this export", toy_package, "-o", folder)
    assert os.listdir(folder) == ["thesis.tex"]
    (folder / "thesis.tex").unlink()
    (folder / "main.c").mkdir()
    refused("out: holds main.c", toy_package, "-o", folder)


def test_places_that_cannot_be_written(toy_package, tmp_path, monkeypatch):
    refused("is a file", toy_package, "-o", _file(tmp_path))
    refused("does not exist; create it first", toy_package, "-o", tmp_path / "a" / "b")
    refused("Missing option '-o'|--output", toy_package)
    monkeypatch.setattr("tempfile.TemporaryDirectory", _no_permission)
    refused("cannot be written .Permission denied", toy_package, "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _file(folder):
    (folder / "file").write_text("")
    return folder / "file"


def _no_permission(*arguments, **options):
    raise PermissionError(13, "Permission denied")


def test_no_compiler(toy_package, tmp_path, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    refused("no-such-compiler: cannot be run", toy_package, "-o", tmp_path / "out")
    monkeypatch.setenv("CC", "false")
    refused("false: cannot build", toy_package, "-o", tmp_path / "out")
    monkeypatch.delenv("CC")
    gcc = subprocess.run(["which", "gcc"], capture_output=True, text=True).stdout.strip()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/gcc").symlink_to(gcc)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    refused(
        "--static needs objcopy, and there is none; install binutils", toy_package, "-o", tmp_path / "out", "--static"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "name",
    [
        "",
        "1st",
        "a-b",
        "a b",
        "class",
        "int",
        "std",
        "a__b",
        "_a",
        "a_",
        "é",
        "c",
        "octet",
        "octet_stream",
        "m",
        "x" * 65,
        "a\n",
    ],
)
def test_names_that_no_library_can_have(name):
    with pytest.raises(OctetError, match="take letters, digits and single underscores"):
        check_c_name(name)


def test_names(toy_package, tmp_path):
    assert (
        check_c_name("net_2") == "net_2"
        and name_of_file("mobilenet-v2.1") == "mobilenet_v2_1"
        and name_of_file("2nd net") == "nd_net"
    )
    with pytest.raises(OctetError, match="name one with --name"):
        name_of_file("42")
    refused("--name a-b: is no name of functions", toy_package, "-o", tmp_path / "out", "--name", "a-b")
    assert not (tmp_path / "out").exists()


def test_targets(toy_variant, toy_package, tmp_path):
    gpu = Variant(
        "cuda-sm90",
        b"",
        toy_variant.weights,
        64,
        toy_variant.steps[:1],
        toy_variant.inputs,
        toy_variant.outputs,
        frozenset({"cuda_sm90"}),
        99,
        kind="cuda",
        launches=(Launch("f", (1, 1, 1), 1, 0, ()),),
    )
    package = Package((gpu, toy_variant))
    assert (
        chosen_variant(package, None) is toy_variant
        and chosen_variant(package, "native") is toy_variant
        and chosen_variant(package, toy_variant.target) is toy_variant
    )
    for target, match in (
        ("cuda-sm90", f"runs on a GPU, and export is for CPUs; take one of these: {toy_variant.target}"),
        ("arm", f"the package holds cuda-sm90, {toy_variant.target}; take"),
    ):
        with pytest.raises(OctetError, match=match):
            chosen_variant(package, target)
    with pytest.raises(OctetError, match="holds cuda-sm90 only, and export is for CPUs"):
        chosen_variant(Package((gpu,)), None)
    foreign = replace(
        toy_variant,
        target="tomorrow",
        features=frozenset({"asimd", "i8mm"} if platform.machine() == "x86_64" else {"avx2"}),
    )
    assert chosen_variant(Package((foreign,)), "tomorrow") is foreign
    with pytest.raises(
        OctetError, match="runs no variant of the package; name the one to export with --target: tomorrow"
    ):
        chosen_variant(Package((foreign,)), None)
    with pytest.raises(
        OctetError,
        match="target tomorrow: export knows no processor with avx1024; take one of these: " + toy_variant.target,
    ):
        chosen_variant(Package((toy_variant, replace(foreign, features=frozenset({"avx1024"})))), "tomorrow")
    with pytest.raises(OctetError, match="as an earlier octet wrote it; compile it again"):
        chosen_variant(Package((replace(toy_variant, object=b""),)), None)
    refused("--target amd: the package holds", toy_package, "-o", tmp_path / "out", "--target", "amd")


def test_every_feature_of_a_target_is_asked_of_the_processor():
    assert all(machine_of(spec.features) == spec.machine for spec in TARGETS.values() if spec.kind == "cpu")
    assert len(set((CPUID | AUXILIARY).values())) == len(CPUID) + len(AUXILIARY)


def test_a_processor_that_lacks_something(toy_variant, run, tmp_path):
    lacking = next(iter(sorted(CPUID.keys() - detect.own_features())), None)
    if lacking is None:
        pytest.skip("this machine has everything")
    package = Package(
        (replace(toy_variant, features=toy_variant.features | {lacking}),), selftest=_selftest(toy_variant)
    )
    export(package, tmp_path / "out", "toy", toy_variant.target)
    run(tmp_path / "out", "gcc", "main.c", "-L.", "-ltoy", "-Wl,-rpath,.", "-o", "selftest")
    done = subprocess.run(["./selftest"], cwd=tmp_path / "out", capture_output=True, text=True)
    assert done.returncode == 1 and "this processor lacks instructions that the network was compiled for" in done.stderr


@pytest.mark.skipif(
    not shutil.which("aarch64-linux-gnu-gcc") or not shutil.which("qemu-aarch64"),
    reason="needs gcc for aarch64 and qemu-user",
)
def test_arm64(small_hub, run, tmp_path):
    """Another machine's library, made here and run in an emulator, on the self-test of this machine's kernels."""
    package = octet.compile(small_hub, ["x86-64-v3", "arm64-dotprod"], policy="int8")
    for form, library in (
        (ExportForm(), ("-L.", "-lsmall", "-Wl,-rpath,$ORIGIN")),
        (ExportForm(static=True), ("libsmall.a", "-lm", "-pthread")),
    ):
        folder = tmp_path / library[0]
        export(package, folder, "small", "arm64-dotprod", form)
        run(
            folder,
            "aarch64-linux-gnu-gcc",
            "-std=c99",
            "-Wall",
            "-Wextra",
            "-Werror",
            "main.c",
            *library,
            "-o",
            "selftest",
        )
        emulated = ("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu")
        assert run(folder, *emulated, "-cpu", "max", "./selftest") == "small: byte for byte as recorded\n"
        if not form.static:
            assert set(re.findall(r"@GLIBC_([\d.]+)", run(folder, "aarch64-linux-gnu-nm", "-D", "libsmall.so"))) == {
                "2.17"
            }
        lesser = subprocess.run(
            [*emulated, "-cpu", "cortex-a53", "./selftest"], cwd=folder, capture_output=True, text=True
        )
        assert lesser.returncode == 1 and "lacks instructions" in lesser.stderr  # That processor has no SDOT.


def _selftest(variant):
    return selftest_of(open_session(variant), {"x": np.ones((4, 16), np.float32)})


def test_names_of_tensors_are_only_text(toy_variant, run, tmp_path):
    """Whatever a network calls its tensors, the compiler sees the same text, and nothing else."""
    evil = '*/ "); system("x") /* ??/ \\ @TABLES@ octet_net é %s\t'
    renamed = replace(toy_variant, inputs=(replace(toy_variant.inputs[0], name=evil),))
    export(
        Package((renamed,), {"model": {"name": evil, "sha256": "", "batch": 4}}),
        tmp_path / "out",
        "toy",
        toy_variant.target,
    )
    (tmp_path / "out/print.c").write_text(
        '#include "toy.h"\n#include <stdio.h>\n'
        "int main(void) { return fputs(toy_input(0, 0)->name, stdout) < 0 || fputs(TOY_INPUT_0_NAME, stdout) < 0; }\n"
    )
    run(
        tmp_path / "out",
        "gcc",
        "-std=c99",
        "-Wall",
        "-Wextra",
        "-Werror",
        "print.c",
        "-L.",
        "-ltoy",
        "-Wl,-rpath,.",
        "-o",
        "print",
    )
    assert run(tmp_path / "out", "./print") == evil * 2
    assert "*/" not in commented(evil) and c_string('"\\\n') == '"\\042\\134\\012"'
