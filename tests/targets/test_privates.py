"""What Octet takes of TVM beside its public interface is there, and does what Octet takes it for."""

import ast
import multiprocessing
import re
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import tvm
from onnx import helper
from tvm import relax
from tvm.ir import Op
from tvm.relax.frontend.onnx import onnx_frontend
from tvm.rpc.base import RPC_CODE_SUCCESS, RPC_MAGIC

import octet.passes  # noqa: F401 - registers the operators
from octet.passes.operators.registry import OPERATORS
from octet.targets.tvm import privates

ROOT = Path(__file__).resolve().parents[2]


def test_what_comes_without_what():
    """TVM's runtime without its compiler and without PyTorch, which a finder notes whether or not it is installed; then
    a context of tuning without tensor intrinsics."""
    code = """if True:
        import sys
        class Finder:
            def find_spec(name, path=None, target=None):
                if name == "torch":
                    print("asked")
        sys.meta_path.insert(0, Finder)
        from octet.targets.tvm import native_library, privates
        module = native_library.runtime()
        print(module.__name__, "tvm" in sys.modules, "torch" in sys.modules, privates.is_imported())
        library = privates.runtime_library()
        most = library["_ZN3tvm7runtime9threading14MaxConcurrencyEv"]
        for count in (1, 2):
            privates.set_most_cores(library, count)
            print(most())
        del sys.meta_path[0]
        from tvm.s_tir.meta_schedule import TuneContext
        name = "tvm.s_tir.tensor_intrin"
        print(name in sys.modules)
        with privates.without_intrinsics():
            TuneContext()
        print(name in sys.modules, privates.is_imported())
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["tvm_ffi", "False", "False", "False", "1", "2", "False", "False", "True"]


def test_what_was_imported_stays(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", module := type(sys)("torch"))
    privates.import_tvm_ffi()
    assert sys.modules["torch"] is module


def test_operators_are_known_to_tvm():
    assert set(OPERATORS) <= set(Op.list_op_names())
    with pytest.raises(Exception, match="octet.conv2d"):
        privates.register_operator("octet.conv2d", "again")


def test_the_converters_of_onnx():
    """A node as TVM alone converts it."""
    assert "Gemm" in privates.onnx_converters()
    importer = onnx_frontend.ONNXGraphImporter({}, {}, sanitize=False)
    attrs = privates.parsed_attributes(importer, helper.make_node("Gemm", ["a", "b"], ["y"], transB=1).attribute)
    assert attrs == {"transB": 1}
    attrs["tvm_custom"] = {"name": "g", "num_outputs": 1}
    params = [relax.Var(name, relax.TensorType((2, 3), "float32")) for name in "ab"]
    with importer.bb.function("main", params=params):
        with importer.bb.dataflow():
            made = privates.converted(importer, "Gemm", onnx_frontend.onnx_input(params), attrs, 13)
            result = importer.bb.emit_output(made)
        importer.bb.emit_func_output(result)
    assert [int(extent) for extent in result.ty.shape.values] == [2, 2]


def test_a_function_that_is_given_up_leaves_no_open_block(capfd):
    builder = relax.BlockBuilder()
    with pytest.raises(ValueError), builder.function("main", params=[]):
        try:
            with builder.dataflow():
                raise ValueError
        finally:
            privates.end_block(builder)
    del builder
    assert "block" not in capfd.readouterr().err


class Door:
    """One connection, then none any more."""

    def __init__(self, connection):
        self.connection = connection

    def accept(self):
        if self.connection is None:
            raise RuntimeError("closed")
        connection, self.connection = self.connection, None
        return connection, ("here", 0)


def test_the_loop_of_a_server_answers_at_a_door(monkeypatch):
    """Its sessions are forks, whatever this Python starts unasked: a connection can be inherited, not pickled."""
    served = []
    monkeypatch.setattr(tvm.rpc.server, "multiprocessing", multiprocessing.get_context("forkserver"))
    monkeypatch.setattr(tvm.rpc.server, "_serving", lambda connection, *rest: served.append(connection))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        name = b"client:word"
        ours.sendall(struct.pack("<ii", RPC_MAGIC, len(name)) + name)
        with pytest.raises(RuntimeError, match="closed"):
            privates.listen(Door(theirs), 9, "word", None)
        assert served == [theirs] and struct.unpack("<i", ours.recv(4))[0] == RPC_CODE_SUCCESS
    assert tvm.rpc.server.multiprocessing.get_start_method() == "fork"


SUSPECT = re.compile(r"sys\.modules|import .*\b_[a-z]|^(?=[\s\S]*\btvm\b)[\s\S]*\w\._[a-z]")


def names_of_private_use(path):
    """What a file says of sys.modules, and the private attributes that it takes of modules of TVM's."""
    tree = ast.parse(path.read_text())
    theirs = {
        (alias.asname or alias.name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        and (isinstance(node, ast.Import) or (node.level == 0 and (node.module or "").startswith("tvm")))
        for alias in node.names
        if isinstance(node, ast.ImportFrom) or alias.name.startswith("tvm")
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (node.attr == "modules" or _is_private(node.attr)):
            words = ast.unparse(node).split(".")
            if words == ["sys", "modules"] or words[0] in theirs:
                yield ".".join(words)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tvm") and node.level == 0:
            yield from (alias.name for alias in node.names if _is_private(alias.name))


def _is_private(word):
    return word.startswith("_") and not word.startswith("__")


def test_nobody_else_takes_any():
    rooms = ("targets", "passes", "tuning", "tools")
    paths = [path for room in rooms for path in (ROOT / room).rglob("*.py") if SUSPECT.search(path.read_text())]
    found = {str(path.relative_to(ROOT)): list(names_of_private_use(path)) for path in paths}
    assert {path for path, names in found.items() if names} == {"targets/tvm/privates.py"}
    assert "tvm.ir._ffi_api" in found["targets/tvm/privates.py"]
