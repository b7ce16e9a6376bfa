"""Fixtures that several rooms share, and the check that the tests test this checkout."""

import inspect
import os
import re
import tempfile
from importlib import import_module
from pathlib import Path

os.environ.setdefault("TVM_NUM_THREADS", "2")  # before TVM starts its pool: the same on every machine
os.environ["OCTET_CACHE"] = tempfile.mkdtemp(prefix="octet-tests-")  # not the user's calibration cache

import numpy as np  # noqa: E402
import pytest  # noqa: E402

import octet  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
DIGITS = ROOT / "examples" / "digits"

found = Path(octet.__file__).resolve().parent
assert found == ROOT, f"octet is imported from {found}, not from this checkout ({ROOT}); run the tests with this checkout's .venv"


def _pass_classes():
    """The classes in passes/ that are called with a module."""
    for path in sorted((ROOT / "passes").rglob("*.py")):
        if re.search(r"def __call__\(self, mod\b", path.read_text()):
            module = import_module(".".join(("octet", *path.relative_to(ROOT).with_suffix("").parts)))
            kinds = [kind for kind in vars(module).values() if inspect.isclass(kind) and kind.__module__ == module.__name__]
            yield from (kind for kind in kinds if "__call__" in vars(kind))


@pytest.fixture(scope="session", autouse=True)
def _every_pass_leaves_valid_ir():
    """Whichever test runs a pass, alone or in the pipeline: what it makes is verified."""
    from octet.passes.verify import verify

    with pytest.MonkeyPatch.context() as patch:
        for kind in _pass_classes():

            def verified(self, mod, call=kind.__call__):
                made = call(self, mod)
                verify(made, type(self).__name__)
                return made

            patch.setattr(kind, "__call__", verified)
        yield


@pytest.fixture(scope="session")
def toy_variant():
    """y = 2 * x + w for x float32 [4, 16] and w float32 [16] in the weights, as two kernels: what build makes, in small."""
    from octet.targets import detect
    from octet.targets.variant import Step, TensorSpec, Variant

    spec = detect.native()
    weights = np.arange(16, dtype=np.float32).view(np.uint8)
    steps = (Step("double", "relax.multiply", "fallback", "float32", 64, 512), Step("shift", "relax.add", "fallback", "float32", 0, 512))
    inputs, outputs = (TensorSpec("x", (4, 16), "float32"),), (TensorSpec("y", (4, 16), "float32"),)
    return Variant(spec.name, _toy_library(spec), weights, 256, steps, inputs, outputs, spec.features, spec.rank, "toy")


def _toy_library(spec) -> bytes:
    import tempfile

    import octet.passes  # noqa: F401 - prepares TVM
    import tvm
    from tvm import tirx
    from tvm.script.ir_builder import IRBuilder
    from tvm.tirx.script import builder as T

    def entry(name, indexed):
        with IRBuilder() as builder:
            with T.prim_func():
                T.func_name(name)
                T.func_attr({"global_symbol": name})
                index = T.arg("index", T.int32()) if indexed else None
                weights, arena = T.arg("weights", T.Buffer((64,), "uint8")), T.arg("arena", T.Buffer((256,), "uint8"))
                x, y = (T.arg(n, T.Buffer((4, 16), "float32")) for n in "xy")
                for number, kernel in enumerate((_double, _shift)):
                    if not indexed:
                        kernel(weights, arena, x, y)
                        continue
                    with T.If(index == number), T.Then():
                        kernel(weights, arena, x, y)
        return builder.get()

    def _double(weights, arena, x, y):
        with T.parallel(0, 4) as i:
            row = tirx.reinterpret("uint8x64", x.vload([i, 0], "float32x16") * tirx.Broadcast(tirx.const(2.0, "float32"), 16))
            T.add_to_parent(arena.vstore([i * 64], row))

    def _shift(weights, arena, x, y):
        with T.parallel(0, 4) as i:
            row = tirx.reinterpret("float32x16", arena.vload([i * 64], "uint8x64")) + tirx.reinterpret("float32x16", weights.vload([0], "uint8x64"))
            T.add_to_parent(y.vstore([i, 0], row))

    module = tvm.IRModule({tvm.ir.GlobalVar(name): entry(name, indexed) for name, indexed in (("octet_run", False), ("octet_step", True))})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "toy.so"
        tvm.compile(module, target=spec.tvm_target()).export_library(str(path))
        return path.read_bytes()


@pytest.fixture
def toy_package(toy_variant, tmp_path):
    """The path of a package with the toy network."""
    from octet.targets.package import Package, selftest_of
    from octet.targets.opening import open_session

    x = np.linspace(-1, 1, 64, dtype=np.float32).reshape(4, 16)
    info = {"model": {"name": "toy", "sha256": "0" * 64, "batch": 4}, "recipe": {"calibrator": "max"}, "operators": {"int8": 0, "float": 0, "reasons": []}}
    path = tmp_path / "toy.octet"
    Package((toy_variant,), info, selftest_of(open_session(toy_variant), {"x": x})).save(path)
    return path
