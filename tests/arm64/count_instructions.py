"""Instructions of the innermost loops of arm64's kernels for 64 products, from the disassembly: the table of
docs/arm64.md, printed by `python tests/arm64/count_instructions.py`.

Needs aarch64-linux-gnu-objdump; nothing is run. The loop of a kernel is the one with most multiplications per
instruction."""

import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from octet.passes.lower.codegen import compile_module
from octet.targets import registry
from octet.targets.x86.conv.choose import conv_kernel
from octet.targets.x86.isa import building_for
from octet.targets.x86.matmul.problem import MatmulProblem, Matrices
from octet.targets.x86.matmul.product import matmul

sys.path.insert(0, str(Path(__file__).parents[1] / "x86"))
from conv_harness import arguments, problem

CASES = {
    "convolution 1x1, 64 channels": problem(64, 14, 64),
    "convolution 3x3, 64 channels": problem(64, 14, 64, 3, padding=(0, 0, 0, 0)),
    "first layer 3x3, stride 2, 3 of 4 channels": problem(3, 65, 24, 3, 2, padding=(0, 0, 0, 0)),
    "first layer 7x7, stride 2": problem(3, 71, 64, 7, 2, padding=(0, 0, 0, 0)),
    "linear, 256 inputs, 64 rows": problem(256, 1, 64, batch=64),
    "linear, 256 inputs, one row": problem(256, 1, 64),
    "depthwise 3x3, 64 channels": problem(64, 14, 64, 3, groups=64),
    "float32 1x1, 64 channels": problem(64, 14, 64, dtype="float32"),
}
ROWS, INNER, COLUMNS = 4, 96, 32
PRODUCT = MatmulProblem(
    (4,),
    ROWS,
    INNER,
    COLUMNS,
    Matrices(4 * ROWS * INNER + 64, 0, (ROWS * INNER,), INNER, 1),
    Matrices(4 * INNER * COLUMNS + 64, 0, (INNER * COLUMNS,), COLUMNS, 1),
    Matrices(4 * ROWS * COLUMNS + 64, 0, (ROWS * COLUMNS,), COLUMNS, 1),
    0.004,
)
PRODUCTS = {
    "sdot": 16,
    "usdot": 16,
    "sudot": 16,
    "usmmla": 32,
    "smull": 8,
    "smull2": 8,
    "fmla": 4,
}  # Each number is the operations of one instruction.
_LINE = re.compile(r"\s+([0-9a-f]+):\t(\S+)\s*(.*)")


def loop_of(text):
    """The instructions of the loop that multiplies most, as a Counter of their names, with "spilled" for what goes to
    the stack."""
    lines = [found.groups() for line in text.splitlines() if (found := _LINE.match(line))]
    places, best = {int(address, 16): i for i, (address, _, _) in enumerate(lines)}, Counter()
    for i, (_, name, operands) in enumerate(lines):
        target = re.search(r"([0-9a-f]+) <", operands) if re.fullmatch(r"b(\..+)?|cbn?z|tbn?z", name) else None
        start = places.get(int(target[1], 16), i) if target else i
        if start < i:
            found = Counter(one for _, one, _ in lines[start : i + 1])
            found["spilled"] = sum("[sp" in where for _, _, where in lines[start : i + 1])
            best = max(best, found, key=lambda c: _products(c) / max(1, _instructions(c)))
    return best


def _products(counts):
    return sum(PRODUCTS.get(name, 0) * count for name, count in counts.items())


def _instructions(counts):
    return counts.total() - counts["spilled"]


def loop_in(func, spec):
    """`loop_of` the machine code of a kernel."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.o"
        compile_module(func, spec).mod.write_to_file(str(path))
        return loop_of(
            subprocess.run(
                ["aarch64-linux-gnu-objdump", "-d", "--no-show-raw-insn", path],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )


def per_64(counts):
    """Instructions of a loop for 64 products."""
    return 64 * _instructions(counts) / _products(counts)


def kernels(spec):
    """{row of the table: the kernel of a level}."""
    functions = {}
    for name, p in CASES.items():
        _, weight, bias, multiplier, _ = arguments(p)
        functions[name] = conv_kernel(p, spec.dot, weight, bias, multiplier).func
    with building_for(spec.dot):
        return functions | {"product of tensors, 4 rows": matmul(PRODUCT, spec.dot)}


def main():
    """Prints the table of docs/arm64.md, "Instructions"."""
    specs = [spec for spec in registry.TARGETS.values() if spec.machine == "aarch64"]
    rows = {}
    for spec in specs:
        for name, func in kernels(spec).items():
            rows.setdefault(name, []).append(f"{per_64(loop_in(func, spec)):#.3g}")
    print("| loop |", " | ".join(f"`{spec.name}`" for spec in specs), "|")
    print("|" + "---|" * (len(specs) + 1))
    for name, cells in rows.items():
        print("|", name, "|", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
