"""What belongs to the whole process, all of it, each with the reason why it is no argument. What holds for a block of
code is a context variable, which the function that opens the block resets."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for room in ("passes", "targets", "tuning", "tools") for path in (ROOT / room).rglob("*.py"))
SOURCES += [ROOT / "__init__.py", ROOT / "api.py"]

MACHINE = "of this machine, which does not change while the process runs"
PURE = "follows from its arguments alone, and takes long"
STATE = {
    # Of a block of code.
    "passes/running.py _active": "who looks on while passes run: `watched`, `unwatched`",
    "targets/reading/limits.py _given": "the options --limit of the command that reads files: `with_limits`",
    "targets/x86/isa.py _current": "the vector unit that kernels are built for: `building_for`",
    "tools/errors.py warnings": "how a command shows warnings, within `catch_warnings`",
    "tools/errors.py signal": "^C while a command runs, and as it was before: `_interrupts`",
    "tools/metrics.py sys": "where a metric of the user's is imported from, taken back",
    "targets/tvm/privates.py sys": "what `import tvm` finds for a module that it does not need, taken back",
    # Of the process, as others' code has it there.
    "passes/exclusive.py _lock": "TVM's builders keep open scopes in lists of the process; a fork gets a new lock",
    "targets/tvm/native_library.py _thread": "TVM keeps the number of cores of each thread that calls kernels",
    "targets/tvm/native_library.py os": "TVM reads the size of its pool from the environment when it is loaded",
    "targets/tvm/native_library.py runtime": "a library is loaded once",
    "targets/tvm/native_library.py _library": "likewise",
    "targets/tvm/privates.py server": "TVM's RPC server takes its way to fork from its own module",
    "targets/native/streams.py _live": "threads that a fork loses: what is open in the child gets new ones",
    "targets/cuda/running/driver.py driver": "CUDA's driver is started once",
    "targets/cuda/compiling/nvrtc.py _opened": "a library is loaded once",
    "targets/detect.py request_amx": "the system gives a process its tile registers once",
    "passes/environment.py os": "TVM cannot be imported without HOME, which some users lack",
    "tools/peers/nncf_peer.py os": "NNCF reads its switch for telemetry at import, in a process of its own",
    "tools/peers/process.py signal": "^C is its parent's to answer, which ends this process",
    "tuning/server.py os": "as in native_library, in a process that serves kernels to measure",
    # Kept for who asks again.
    "targets/detect.py cpu_features": MACHINE,
    "targets/detect.py cpu_name": MACHINE,
    "targets/detect.py cores": MACHINE,
    "targets/cuda/running/driver.py device": MACHINE,
    "targets/cuda/compiling/nvcc.py _architectures": MACHINE,
    "tuning/database.py _tvm": MACHINE,
    "targets/arm64/emulator.py _runner": PURE,
    "targets/byte_quotient.py two_parts_suffice": PURE,
    "targets/native/link.py _runtime": PURE,
    "targets/x86/elementwise/summary.py summary": PURE,
    "targets/x86/kernel.py built": PURE,
    "passes/calibrate/accumulate.py _kernel": PURE,
    "tuning/builder.py _case": PURE,
    "tuning/probe.py _library": PURE,
    "passes/lower/reused_code.py _code_for": "machine code of kernels by their text, which networks here share",
}

CACHES = ("cache", "lru_cache")
OF_THE_PROCESS = ("ContextVar", "local", "Lock", "RLock", "Condition", "Event", "Semaphore")
CHANGES = ("append", "add", "update", "pop", "clear", "setdefault", "extend", "remove", "insert", "discard", "signal")
MODULES = ("os", "sys", "warnings", "signal", "server")


def called(node):
    """The last name of what a call calls, or of what a decorator is."""
    node = node.func if isinstance(node, ast.Call) else node
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def root_of(node):
    while isinstance(node, ast.Subscript | ast.Attribute | ast.Call):
        node = node.args[-1] if isinstance(node, ast.Call) and called(node) == "cast" else getattr(node, "value", None)
    return node.id if isinstance(node, ast.Name) else ""


def bound_at_top(tree):
    """{name: value} of assignments at the top of a file; R = relax.op only shortens a name."""
    pairs = {}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if isinstance(node, ast.Assign | ast.AnnAssign):
            pairs |= {target.id: node.value for target in targets if isinstance(target, ast.Name)}
    return {name: value for name, value in pairs.items() if not isinstance(value, ast.Attribute)}


def changed_in(function):
    """The names outside of a function whose value, parts or attributes it changes."""
    inner = list(ast.walk(function))[1:]
    own = {node.id for node in inner if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    own |= {node.arg for node in inner if isinstance(node, ast.arg)}
    for node in inner:
        if isinstance(node, ast.Global):
            yield from node.names
        elif isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            yield from {root_of(node)} - own
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGES:
            yield from {root_of(node.func.value)} - own


def state_in(tree):
    """Names: of variables at the top that belong to the process or that functions change, of modules of others that
    they change, and of functions whose results are kept."""
    top = bound_at_top(tree)
    found = {name for name, value in top.items() if called(value) in OF_THE_PROCESS}
    found |= {name for name, value in top.items() if called(value) in CACHES or called(called_by(value)) in CACHES}
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    found |= {node.name for node in functions if any(called(each) in CACHES for each in node.decorator_list)}
    outer = [part for node in tree.body for part in (node.body if isinstance(node, ast.ClassDef) else [node])]
    changed = {name for node in outer if isinstance(node, ast.FunctionDef) for name in changed_in(node)}
    return found | changed & {*top, *MODULES}


def called_by(value):
    """Of `lru_cache(2)(f)` the part in front of the last brackets."""
    return value.func if isinstance(value, ast.Call) else value


def test_nothing_else_belongs_to_the_process():
    found = {f"{path.relative_to(ROOT)} {name}" for path in SOURCES for name in state_in(ast.parse(path.read_text()))}
    assert found - STATE.keys() == set(), "make these arguments or context variables, or give the reason here"
    assert STATE.keys() - found == set(), "these are gone"


def test_each_kind_is_found():
    text = """
import os
from functools import cache, lru_cache
known, seen, lock, names, fixed = {}, [], Lock(), set(), {}
table: dict = {}
lock = threading.RLock()
kept = lru_cache(2)(len)
def one(x): table[x] = 1
def two(): global counted; counted = 1
def three(): os.environ["A"] = "b"
def four(fixed): fixed["a"] = 1; return fixed
@cache
def five(): return known.get(1)
class Six:
    def seven(self): self.known["a"] = names
"""
    assert state_in(ast.parse(text)) == {"table", "lock", "kept", "os", "five"}
