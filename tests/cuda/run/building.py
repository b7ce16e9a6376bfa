"""Compiles modules for the device, two at a time, and keeps what was compiled by its source."""

import hashlib
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from octet.targets.cuda.compiling.compiler import FLAGS, compile_cubin, find_compiler
from octet.targets.cuda.compiling.nvcc import find_nvcc
from octet.targets.cuda.compiling.source import DEVICE
from octet.targets.errors import TargetError

_AT_ONCE = 2


class Compiler:
    """cache: a folder."""

    def __init__(self, cache: Path):
        self._cache = cache

    def cubins(self, texts: list[str], arch: int) -> list[bytes]:
        """Machine code of sources."""
        return self._all(texts, f"cubin {arch}", lambda text: compile_cubin(text, arch)[0])

    def ptx(self, texts: list[str], arch: int) -> list[bytes]:
        """PTX of sources, as a driver takes it."""
        return self._all(
            texts, f"ptx {arch}", lambda text: find_compiler(arch).ptx(text, arch, FLAGS, DEVICE)[0] + b"\0"
        )

    def plain_cubin(self, path: Path, target: str) -> bytes:
        """Of a file that includes nothing of ours. target: as nvcc's -gencode."""

        def made(text):
            nvcc = find_nvcc()
            if nvcc is None:
                raise TargetError(
                    f"{path.name} needs nvcc: its target has instructions that only the toolkit is asked for here"
                )
            out = self._cache / "plain.cubin"
            subprocess.run(
                [nvcc.path, "-std=c++20", "-gencode", target, "-cubin", str(path), "-o", str(out)],
                check=True,
                capture_output=True,
            )
            return out.read_bytes()

        return self._all([path.read_text()], target, made)[0]

    def _all(self, texts, kind, made):
        self._cache.mkdir(parents=True, exist_ok=True)
        headers = b"".join(path.read_bytes() for path in sorted(DEVICE.glob("*.cuh")))

        def one(text):
            key = hashlib.sha256(
                b"\0".join([headers, text.encode(), kind.encode(), " ".join(FLAGS).encode()])
            ).hexdigest()
            path = self._cache / key
            if not path.is_file():
                part = path.with_suffix(".part")
                part.write_bytes(made(text))
                part.rename(path)
            return path.read_bytes()

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(one, texts))
