"""Cases as they are carried to a machine with a GPU: launches on storages, and what the results must be. NumPy
alone."""

import io
import json
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

_PIECE = 4096  # So many bytes of a result have one checksum.


@dataclass(frozen=True)
class Step:
    """One launch. operands: numbers of storages, and bytes from the beginning of each."""

    function: str
    grid: tuple[int, int, int]
    block: int
    shared: int
    operands: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Expected:
    """What a storage must hold at the end: an array, or checksums of its pieces."""

    storage: int
    bytes: int
    array: np.ndarray | None = None
    checksums: np.ndarray | None = None

    def differences(self, found: np.ndarray) -> str:
        """In words; nothing for the same bytes. found: uint8."""
        found = found[: self.bytes]
        if self.array is not None:
            wanted = self.array.reshape(-1).view(np.uint8)
            if found.tobytes() == wanted.tobytes():
                return ""
            pairs = (wanted.view(self.array.dtype), found.view(self.array.dtype))
            wrong = np.flatnonzero(pairs[0] != pairs[1])
            shown = (
                f"; first {wrong[0]}: {pairs[1][wrong[0]]} for {pairs[0][wrong[0]]}"
                if wrong.size
                else " (zeros of another sign or NaNs)"
            )
            return f"{wrong.size} of {pairs[0].size} differ{shown}"
        wrong = np.flatnonzero(checksums(found) != self.checksums)
        return (
            f"{wrong.size} of {self.checksums.size} pieces of {_PIECE} bytes differ; first {wrong[0]}, last {wrong[-1]}"
            if wrong.size
            else ""
        )


@dataclass(frozen=True)
class Case:
    """contents: of every storage, an array, or how many bytes: of zeros (as they must be left) where `zeros` names it,
    else of rubbish."""

    name: str
    families: tuple[str, ...]
    steps: tuple[Step, ...]
    contents: tuple
    expected: tuple[Expected, ...]
    zeros: frozenset[int] = field(default_factory=frozenset)


def checksums(data: np.ndarray) -> np.ndarray:
    """CRC-32 of every piece. data: uint8."""
    return np.array([zlib.crc32(data[at : at + _PIECE]) for at in range(0, data.size, _PIECE)], np.uint32)


def write(path: Path, cases: list[Case], code: bytes, source: str = "") -> None:
    """One file per module. source: for the emulated driver of the tests."""
    arrays: list[np.ndarray] = []

    def kept(array):
        arrays.append(np.ascontiguousarray(array))
        return {"array": len(arrays) - 1}

    described = []
    for case in cases:
        contents = [item if isinstance(item, int) else kept(item) for item in case.contents]
        expected = [
            {
                "storage": e.storage,
                "bytes": e.bytes,
                **(
                    {"array": kept(e.array)["array"]}
                    if e.array is not None
                    else {"checksums": kept(e.checksums)["array"]}
                ),
            }
            for e in case.expected
        ]
        steps = [
            [s.function, list(s.grid), s.block, s.shared, [list(operand) for operand in s.operands]] for s in case.steps
        ]
        described.append(
            {
                "name": case.name,
                "families": case.families,
                "steps": steps,
                "contents": contents,
                "expected": expected,
                "zeros": sorted(case.zeros),
            }
        )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        file.writestr("cases.json", json.dumps(described))
        file.writestr("code", code)
        if source:
            file.writestr("source.cu", source)
        for number, array in enumerate(arrays):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, allow_pickle=False)
            file.writestr(f"{number}.npy", buffer.getvalue())


def read(path: Path) -> tuple[list[Case], bytes]:
    """(cases, module for the driver)."""
    with zipfile.ZipFile(path) as file:

        def array(number):
            return np.lib.format.read_array(io.BytesIO(file.read(f"{number}.npy")), allow_pickle=False)

        cases = []
        for entry in json.loads(file.read("cases.json")):
            steps = tuple(
                Step(function, tuple(grid), block, shared, tuple(map(tuple, operands)))
                for function, grid, block, shared, operands in entry["steps"]
            )
            contents = tuple(item if isinstance(item, int) else array(item["array"]) for item in entry["contents"])
            expected = tuple(
                Expected(
                    e["storage"],
                    e["bytes"],
                    array(e["array"]) if "array" in e else None,
                    array(e["checksums"]) if "checksums" in e else None,
                )
                for e in entry["expected"]
            )
            cases.append(
                Case(entry["name"], tuple(entry["families"]), steps, contents, expected, frozenset(entry["zeros"]))
            )
        return cases, file.read("code")
