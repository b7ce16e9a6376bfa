"""Fixtures that several rooms share, and the check that the tests test this checkout."""

import inspect
import os
import re
import shutil
import tempfile
from importlib import import_module
from pathlib import Path

# TVM's pool has not started yet, and gets the same size on every machine.
os.environ.setdefault("TVM_NUM_THREADS", "2")
os.environ["OCTET_CACHE"] = tempfile.mkdtemp(prefix="octet-tests-")  # The user's calibration cache is not touched.
# Processes that tests start find the modules as byte code, also where nothing is to be written beside the sources.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
    os.environ["PYTHONPYCACHEPREFIX"] = os.path.join(os.environ["OCTET_CACHE"], "bytecode")

import numpy as np
import pytest

import octet

ROOT = Path(__file__).resolve().parent.parent
DIGITS = ROOT / "examples" / "digits"


def pytest_unconfigure():
    shutil.rmtree(os.environ["OCTET_CACHE"], ignore_errors=True)


found = Path(octet.__file__).resolve().parent
assert found == ROOT, (
    f"octet is imported from {found}, not from this checkout ({ROOT}); run the tests with this checkout's .venv"
)


def _pass_classes():
    """The classes in passes/ that are called with a module."""
    for path in sorted((ROOT / "passes").rglob("*.py")):
        if re.search(r"def __call__\(self, mod\b", path.read_text()):
            module = import_module(".".join(("octet", *path.relative_to(ROOT).with_suffix("").parts)))
            kinds = [
                kind for kind in vars(module).values() if inspect.isclass(kind) and kind.__module__ == module.__name__
            ]
            yield from (kind for kind in kinds if "__call__" in vars(kind))


@pytest.fixture(scope="session", autouse=True)
def _every_pass_leaves_valid_ir():
    """Whichever test runs a pass, alone or in the pipeline: what it makes is verified, unless it is what the pass was
    given, types included."""
    from tvm_ffi import structural_equal

    from octet.passes.verify import verify_module

    with pytest.MonkeyPatch.context() as patch:
        for kind in _pass_classes():

            def verified(self, mod, call=kind.__call__):
                made = call(self, mod)
                if not structural_equal(made, mod, map_free_vars=True):
                    verify_module(made, type(self).__name__)
                return made

            patch.setattr(kind, "__call__", verified)
        yield


@pytest.fixture(scope="session", autouse=True)
def _equal_modules_are_built_once():
    """Tests compile the same small networks over and over: LLVM gets each module once for a target. That builds are
    deterministic is tested between processes."""
    from tvm_ffi import structural_equal, structural_hash

    from octet.passes.lower import codegen, reused_code
    from octet.passes.lower.cpu import backend
    from octet.passes.sensitivity import libraries

    def once(build):
        built = {}

        def made_of(mod, spec, interfaces):
            equal = built.setdefault(
                (structural_hash(mod, map_free_vars=True), spec.name, repr(interfaces), id(codegen.link)), []
            )
            for other, made in equal:
                if structural_equal(mod, other, map_free_vars=True):
                    return made
            made = build(mod, spec, interfaces)
            equal.append((mod, made))
            return made

        return made_of

    with pytest.MonkeyPatch.context() as patch:
        for module, name, users in (
            (codegen, "compile_network", (codegen, backend)),
            (reused_code, "compile_here", (backend, libraries)),
        ):
            compiled = once(getattr(module, name))
            for user in users:
                patch.setattr(user, name, compiled)
        yield


@pytest.fixture(scope="session")
def becomes():
    """becomes(step, before, expected): the pass makes exactly `expected`, names of variables aside, and leaves a
    well-formed module, which comes back."""
    from tvm import relax
    from tvm.ir import assert_structural_equal

    def check(step, before, expected):
        after = step(before)
        relax.analysis.well_formed(after)
        functions = [module["main"].without_attr("global_symbol") for module in (after, expected)]
        assert_structural_equal(*functions, map_free_vars=True)
        return after

    return check


@pytest.fixture(scope="session")
def unchanged(becomes):
    """unchanged(step, before): the pass does not apply; the module comes back as it was."""
    return lambda step, before: becomes(step, before, before)


@pytest.fixture(scope="session")
def toy_variant():
    """y = 2 * x + w for x float32 [4, 16] and w float32 [16] in the weights, as two kernels: what build makes, in
    small."""
    from octet.targets import detect
    from octet.targets.native.interface import Interface
    from octet.targets.variant import Step, TensorSpec, Variant

    spec = detect.native()
    weights = np.arange(16, dtype=np.float32).view(np.uint8)
    steps = (
        Step("double", "relax.multiply", "fallback", "float32", 64, 512),
        Step("shift", "relax.add", "fallback", "float32", 0, 512),
    )
    inputs, outputs = (TensorSpec("x", (4, 16), "float32"),), (TensorSpec("y", (4, 16), "float32"),)
    interface = Interface(inputs, outputs, weights.size, 256, steps=len(steps))
    library, kernels_object = _toy_library(spec, interface)
    return Variant(
        spec.name, library, weights, 256, steps, inputs, outputs, spec.features, spec.rank, "toy", object=kernels_object
    )


def _toy_library(spec, interface) -> tuple[bytes, bytes]:
    import tvm
    from tvm import tirx
    from tvm.script.ir_builder import IRBuilder
    from tvm.tirx.script import builder as T

    import octet.passes  # noqa: F401 - prepares TVM
    from octet.passes.lower.codegen import compile_network
    from octet.passes.lower.entry import called_from_c

    def entry(name, indexed):
        with IRBuilder() as builder:
            with T.prim_func(is_private=True):
                T.func_name(name)
                index, _ = (T.arg(n, T.int32()) for n in ("index", "chunk")) if indexed else (None, None)
                weights, arena, _ = (T.arg(n, T.ptr("uint8")) for n in ("weights", "arena", "lanes"))
                T.arg("threads", T.int32())
                x, y = (T.arg(n, T.ptr("float32")) for n in "xy")
                weights, arena = T.decl_buffer((64,), "uint8", data=weights), T.decl_buffer((256,), "uint8", data=arena)
                x, y = (T.decl_buffer((4, 16), "float32", data=pointer) for pointer in (x, y))
                for number, kernel in enumerate((_double, _shift)):
                    if not indexed:
                        kernel(weights, arena, x, y)
                        continue
                    with T.If(index == number), T.Then():
                        kernel(weights, arena, x, y)
        return called_from_c(builder.get(), name)

    def _double(weights, arena, x, y):
        with T.parallel(0, 4) as i:
            row = tirx.reinterpret(
                "uint8x64", x.vload([i, 0], "float32x16") * tirx.Broadcast(tirx.const(2.0, "float32"), 16)
            )
            T.add_to_parent(arena.vstore([i * 64], row))

    def _shift(weights, arena, x, y):
        with T.parallel(0, 4) as i:
            row = tirx.reinterpret("float32x16", arena.vload([i * 64], "uint8x64")) + tirx.reinterpret(
                "float32x16", weights.vload([0], "uint8x64")
            )
            T.add_to_parent(y.vstore([i, 0], row))

    module = tvm.IRModule(
        {tvm.ir.GlobalVar(name): entry(name, indexed) for name, indexed in (("octet_run", False), ("octet_step", True))}
    )
    return compile_network(module, spec, [interface])[:2]


@pytest.fixture
def toy_package(toy_variant, tmp_path):
    """The path of a package with the toy network."""
    from octet.targets.opening import open_session
    from octet.targets.package import Package, selftest_of

    x = np.linspace(-1, 1, 64, dtype=np.float32).reshape(4, 16)
    info = {
        "model": {"name": "toy", "sha256": "0" * 64, "batch": 4},
        "recipe": {"calibrator": "max"},
        "operators": {"int8": 0, "float": 0, "reasons": []},
    }
    path = tmp_path / "toy.octet"
    Package((toy_variant,), info, selftest_of(open_session(toy_variant), {"x": x})).save(path)
    return path
