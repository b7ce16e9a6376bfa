"""CUDA C++ -> machine code and PTX by nvcc of the CUDA toolkit, which needs a host compiler too."""

import functools
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ...errors import TargetError


@dataclass(frozen=True)
class Nvcc:
    """One compiler. architectures: that it makes code for."""

    path: str
    architectures: frozenset[int]

    def fatbin(self, text: str, arch: int | str, flags: tuple[str, ...], folder: Path) -> tuple[bytes, str]:
        """(machine code and, unless it is for one architecture alone ("90a"), PTX, the compiler's messages). folder: of
        the headers. Raises TargetError in one line. Uncompressed, as the package is compressed:
        drivers before 12.4 do not know what nvcc 13 compresses with."""
        code = f"[sm_{arch},compute_{arch}]" if isinstance(arch, int) else f"sm_{arch}"
        return self._compiled(
            text,
            arch,
            (*flags, "-fatbin", "-no-compress", "-gencode", f"arch=compute_{arch},code={code}", f"-I{folder}"),
        )

    def cubin(self, text: str, arch: int | str, flags: tuple[str, ...], folder: Path) -> tuple[bytes, str]:
        """Compiles as `fatbin` does, to machine code alone."""
        return self._compiled(text, arch, (*flags, "-cubin", f"-arch=sm_{arch}", f"-I{folder}"))

    def ptx(self, text: str, arch: int | str, flags: tuple[str, ...], folder: Path) -> tuple[bytes, str]:
        """Compiles as `fatbin` does, to PTX alone."""
        return self._compiled(text, arch, (*flags, "-ptx", f"-arch=compute_{arch}", f"-I{folder}"))

    def _compiled(self, text: str, arch: int | str, arguments: tuple[str, ...]) -> tuple[bytes, str]:
        with tempfile.TemporaryDirectory() as folder:
            path, out = Path(folder) / "kernels.cu", Path(folder) / "kernels.out"
            path.write_text(text)
            done = subprocess.run([self.path, *arguments, str(path), "-o", str(out)], capture_output=True, text=True)
            if done.returncode != 0:
                raise TargetError(
                    f"{self.path} failed for sm_{arch}: {_reason(done.stderr)}; it needs a C++20 host compiler, and "
                    "must be 12.4 or newer"
                )
            return out.read_bytes(), done.stderr


def find_nvcc() -> Nvcc | None:
    """The environment's NVCC, or nvcc of PATH, CUDA_HOME, CUDA_PATH, /usr/local/cuda; None where there is none. Raises
    TargetError for an NVCC that is no program."""
    named = os.environ.get("NVCC")
    if named is not None and shutil.which(named) is None:
        raise TargetError(
            f"NVCC is {named}, which is no program; name nvcc of the CUDA toolkit (12.4 or newer), or unset NVCC"
        )
    roots = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"]
    places = [named, "nvcc", *(str(Path(root) / "bin" / "nvcc") for root in roots if root)]
    path = next((path for place in places if place and (path := shutil.which(place))), None)
    return None if path is None else Nvcc(path, _architectures(path))


@functools.cache
def _architectures(path: str) -> frozenset[int]:
    done = subprocess.run([path, "--list-gpu-code"], capture_output=True, text=True)
    return frozenset(int(arch) for arch in re.findall(r"^sm_(\d+)$", done.stdout, re.MULTILINE))


def _reason(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if "error" in line.lower() or "fatal" in line.lower()]
    return lines[0] if lines else (text.strip().splitlines() or ["no message"])[-1]
