"""Counts the machine instructions of the kernels that BERT-base is made of, and of the one that ResNet-50 begins with:
what can be said of their cost without a device.

usage: python tests/measure/instructions.py [--target cuda-sm90a]

Each row is a kernel: registers of a thread, the instructions in front of the last EXIT that a thread meets when it goes
through every loop once, how many pieces of work (scores, elements, results) that is per thread, their quotient, and the
bodies of loops by size. Rare paths behind the last EXIT (divisions of denormal numbers) are not counted. The
disassembler is the toolkit's, or that of the test extra."""

import argparse
import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from octet.targets.cuda.compiling import compiler
from octet.targets.cuda.compiling.source import named, source
from octet.targets.cuda.kernel import CudaKernel
from octet.targets.cuda.kernels import attention as attention_kernels
from octet.targets.cuda.kernels.conv import Conv, Epilogue, Views, tiled_kernel
from octet.targets.cuda.kernels.conv_schedule import tile_for
from octet.targets.cuda.kernels.functions import codes_by
from octet.targets.cuda.kernels.movement import quantize
from octet.targets.cuda.kernels.rows import NormProblem, SoftmaxRows, norm_rows, softmax_rows
from octet.targets.cuda.layout import packed, plain
from octet.targets.registry import find

_INSTRUCTION = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)(.*?);")
_UNLIMITED = (float("-inf"), float("inf"))


@dataclass(frozen=True)
class Counted:
    """The instructions of a kernel: how many of each in front of the last EXIT, and the sizes of loops' bodies."""

    opcodes: Counter
    loops: tuple[int, ...]

    @property
    def total(self) -> int:
        """Of all."""
        return sum(self.opcodes.values())


def counted(text: str) -> Counted:
    """What a function's disassembly holds. text: of one function."""
    labels: dict[str, int] = {}
    lines: list[tuple[str, str]] = []
    for line in text.splitlines():
        if (label := re.match(r"(\.L_x_\d+):", line)) is not None:
            labels[label.group(1)] = len(lines)
        if (found := _INSTRUCTION.search(line)) is not None:
            lines.append((found.group(1), found.group(2)))
    inside = lines[: max((i for i, (opcode, _) in enumerate(lines) if opcode == "EXIT"), default=-1) + 1]
    back = [
        i - start + 1
        for i, (opcode, rest) in enumerate(inside)
        if opcode == "BRA" and (target := re.search(r"\.L_x_\d+", rest)) and (start := labels[target.group()]) <= i
    ]
    return Counted(Counter(opcode.split(".")[0] for opcode, _ in inside if opcode != "NOP"), tuple(back))


def functions(cubin: bytes, disassembler: str) -> dict[str, Counted]:
    """What each function of machine code holds, by name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernels.cubin"
        path.write_bytes(cubin)
        text = subprocess.run([disassembler, "-c", str(path)], capture_output=True, text=True, check=True).stdout
    parts = re.split(r"^\s*\.section\s+\.text\.(\w+),.*$", text, flags=re.M)[1:]
    return {name: counted(body) for name, body in zip(parts[::2], parts[1::2], strict=True)}


def _attention(images: int) -> tuple[CudaKernel, int]:
    """Twelve heads of 128 tokens, a mask for each image, and the scores of a lane."""
    pitch, own = 768, 128 * 768
    block = attention_kernels.block_for(128, 64, 64, 128, 12 * images, find("cuda-sm90a"))
    assert block is not None
    problem = attention_kernels.AttentionProblem(
        128, 128, 64, 64, 12, pitch, pitch, (1e-4, 0.01), 0.125, (128, 0, 0), (1 / 255, -128)
    )
    first = Views(12, own, 64, own, 64, own, 64, pitch)
    second = Views(12, own, 64, own, 64 * 128, own, 64, 128)
    epilogue = Epilogue(False, 4, -128, 127, *_UNLIMITED, False, 0, 0.0)
    kernel = attention_kernels.attention(problem, block, first, second, epilogue, 12 * images)
    return kernel, 128 * 128 * 12 * images // (kernel.block * kernel.grid[0] * kernel.grid[1] * kernel.grid[2])


def _norm(rows: int) -> tuple[CudaKernel, int]:
    """Rows of 768 codes, and the elements of a thread."""
    kernel = norm_rows(NormProblem(rows, 768, 768, 768, (0.03, 3), (0.02, -4), True, True, 1e-12))
    return kernel, rows * 768 // (kernel.block * kernel.grid[0])


def _layer(rows: int, inputs: int, outputs: int, target: str) -> tuple[CudaKernel, int]:
    """A linear layer, and the results of a thread."""
    spec = find(target)
    problem = Conv(rows, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, inputs, outputs, 1, inputs, outputs, 3)
    tile = tile_for(problem, spec)
    kernel = tiled_kernel("conv2d", problem, Epilogue(False, 4, -128, 127, *_UNLIMITED, False, 0, 0.0), tile, spec)
    return kernel, tile.rows * tile.columns // tile.threads


def _softmax() -> tuple[CudaKernel, int]:
    """Rows of 640 scores, too many for attention in one launch on small devices, and the scores of a thread."""
    codes = codes_by(np.float32(1 / 255), -128)
    problem = SoftmaxRows(4096, 640, 640, False, False, 0.0, codes, (1, 4096), (0, 0, 0))
    return softmax_rows(problem), 40


def _images() -> tuple[CudaKernel, int]:
    """Colour images become codes, and the elements of a thread."""
    shape = (32, 3, 224, 224)
    kernel = quantize(plain(shape, "float32"), packed(shape), np.float32(0.02), -3)
    return kernel, prod(shape) // (kernel.block * kernel.grid[0])


def main(arguments: list[str] | None = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="cuda-sm90a")
    parser.add_argument("--opcodes", action="store_true", help="also the commonest opcodes of each kernel")
    options = parser.parse_args(arguments)
    kernels = {
        **{f"attention, batch {images}": _attention(images) for images in (1, 32)},
        **{f"layer normalisation, batch {images}": _norm(128 * images) for images in (1, 32)},
        "softmax by itself": _softmax(),
        "input quantisation, 32 images": _images(),
        "linear layer, 768 to 3072, batch 32": _layer(4096, 768, 3072, options.target),
        "linear layer, 3072 to 768, batch 32": _layer(4096, 3072, 768, options.target),
    }
    names = named(kernel for kernel, _ in kernels.values())
    code = find(options.target).extra["code"]
    cubin, log = compiler.find_compiler(code).cubin(source(names), code, compiler.FLAGS, compiler.DEVICE)
    usage, found = compiler.usage(log), functions(cubin, disassembler())
    print("kernel | registers | instructions | work | each | loops")
    for label, (kernel, work) in kernels.items():
        name = names[kernel]
        one = found[name]
        print(f"{label} | {usage[name].registers} | {one.total} | {work} | {one.total / work:.1f} | {list(one.loops)}")
        if options.opcodes:
            print("   ", ", ".join(f"{opcode} {count}" for opcode, count in one.opcodes.most_common()))


def disassembler() -> str:
    """nvdisasm of the toolkit or of the test extra. FileNotFoundError where there is neither."""
    spec = importlib.util.find_spec("nvidia")
    wheels = spec.submodule_search_locations if spec is not None else None
    places = ["nvdisasm", *(str(Path(folder) / "cu13" / "bin" / "nvdisasm") for folder in wheels or ())]
    found = next((path for place in places if (path := shutil.which(place))), None)
    if found is None:
        raise FileNotFoundError("nvdisasm: pip install 'octet[test]', or the CUDA toolkit")
    return found


if __name__ == "__main__":
    main()
