"""Static shapes for a network's inputs: what the user says of symbolic dimensions, what the calibration data show, and
what is left open.

An input's samples lie along one axis, the batch. It is axis 0 unless a name says otherwise ([time, batch, features]),
the user does, or the data do: an array with one axis more than the input holds whole inputs, and then none of the
input's axes is the batch. Nor is it where the user says NO_BATCH.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from ....targets.errors import UnsupportedModelError

BATCH = "batch"  # BATCH stands in place of an extent where the samples lie along this axis.
NO_BATCH = "none"  # NO_BATCH stands in place of a batch's extent where a sample has all axes of an input.
_BATCHES = re.compile(r"(?i).*batch.*|n|b|bs")
# A letter behind an axis of one sample ([1, N, 16]) counts something in the sample, unless it is another input's first.
_LETTERS = re.compile(r"(?i)n|b|bs")
# Exporters write these names for an axis that nobody named.
_NAMELESS = re.compile(r"|unk_+\d+|s\d+|.*DynamicDimension.*|.*_dynamic_axes_\d+")
_LENGTHS = re.compile(r"(?i).*(time|seq|len|frame|step|token|word|height|width).*|t|h|w|l")

# A dimension is an extent, or the name of one ("" where nobody named it); code asks by isinstance which of the two.
Dim: TypeAlias = Any


@dataclass(frozen=True)
class Said:
    """What the user said about the shapes of the inputs.

    batch: extent of the batch, None for 1, NO_BATCH for none. shapes: {input: extents, BATCH where the samples lie}.
    dims: {symbolic dimension: extent or BATCH}.
    data: {input: shape of the array that holds its samples}."""

    batch: int | str | None = None
    shapes: Mapping[str, tuple[int | str, ...]] = field(default_factory=dict)
    dims: Mapping[str, int | str] = field(default_factory=dict)
    data: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Fixed:
    """An input with static extents. batch_axis: as in TensorSpec. symbol: of the batch axis, "" where the file fixes it
    or does not name it."""

    shape: tuple[int, ...]
    batch_axis: int | None
    symbol: str


def fix_dimensions(
    declared: Mapping[str, Sequence[Dim]], said: Said, path: Path | str
) -> tuple[dict[str, Fixed], tuple[str, ...]]:
    """({input: Fixed}, what was assumed, a line each). declared: {input: extents and names of symbolic dimensions (""
    without one), None of unknown rank}.

    Raises UnsupportedModelError, with the option to add, for an open dimension, and for what contradicts the file."""
    return _Dimensions(declared, said, path).fix()


class _Dimensions:
    def __init__(self, declared: Mapping[str, Sequence[Dim]], said: Said, path: Path | str) -> None:
        self.said, self.path = said, path
        self.notes: list[str] = []
        self.open: dict[str, list[int]] = {}
        self.declared = {name: self._with_rank(name, dims) for name, dims in declared.items()}
        self.bound = {symbol: extent for symbol, extent in said.dims.items() if extent != BATCH}
        self.batches = {symbol for symbol, extent in said.dims.items() if extent == BATCH}
        self._check_names()
        if said.batch == NO_BATCH and (self.batches or any(BATCH in shape for shape in said.shapes.values())):
            self._fail(
                "--batch none: says that no axis is the batch, and --dim or --shape says that one is; leave one of "
                "them out"
            )
        for name, shape in said.shapes.items():
            self._bind_shape(name, shape)
        for name, shape in said.data.items():
            self._bind_data(name, shape)

    def fix(self) -> tuple[dict[str, Fixed], tuple[str, ...]]:
        found = {name: self._fixed(name, dims) for name, dims in self.declared.items()}
        if self.open:
            self._refuse_open()
        return found, tuple(self.notes)

    def _with_rank(self, name: str, dims: Sequence[Dim]) -> tuple[str | int, ...]:
        if dims is not None:
            return tuple(dims)
        if name in self.said.shapes:
            return tuple("" for _ in self.said.shapes[name])
        if name in self.said.data:
            return tuple("" for _ in self.said.data[name])
        self._fail(f"input {name!r} has no shape in the file; add --shape {name}=1x3x224x224 with its extents")

    def _check_names(self) -> None:
        symbols = {dim for dims in self.declared.values() for dim in dims if isinstance(dim, str) and dim}
        for symbol in self.said.dims:
            if symbol not in symbols:
                known = (
                    f"; the file's are {', '.join(sorted(symbols))}"
                    if symbols
                    else "; the file names none, give --shape"
                )
                self._fail(f"--dim {symbol}: no input has a dimension of that name{known}")
        for name in self.said.shapes:
            if name not in self.declared:
                self._fail(f"--shape {name}: is no input; the inputs are {', '.join(self.declared)}")

    def _bind_shape(self, name: str, shape: Sequence[Dim]) -> None:
        dims, written = self.declared[name], "x".join(map(str, shape))
        if len(shape) != len(dims):
            self._fail(f"--shape {name}={written}: has {len(shape)} extents, the input has {len(dims)} ({_text(dims)})")
        for axis, (dim, extent) in enumerate(zip(dims, shape)):
            if extent == BATCH:
                continue
            if extent < 1 or isinstance(dim, int) and dim != extent:
                self._fail(
                    f"--shape {name}={written}: axis {axis} is {dim if isinstance(dim, int) else repr(dim)} in the "
                    f"file, not {extent}; only symbolic dimensions can be chosen"
                )
            if isinstance(dim, str) and dim and self.bound.setdefault(dim, extent) != extent:
                self._fail(
                    f"--shape {name}={written}: dimension {dim!r} was given as {self.bound[dim]} already; give one "
                    "extent for it"
                )

    def _bind_data(self, name: str, shape: tuple[int, ...]) -> None:
        """Symbolic dimensions that nobody spoke of take the data's extents."""
        dims = self.declared.get(name)
        if dims is None:
            return
        if 0 in shape[1:]:  # Nothing could be computed of it, and what is computed of nothing (a mean) is NaN.
            self._fail(
                f"input {name!r}: the data are {list(shape)}, samples without a value; give samples of the extents "
                "that the network takes"
            )
        if self.said.batch == NO_BATCH and len(shape) != len(dims) + 1:
            return
        batch = None if self.said.batch == NO_BATCH else self._named_batch(name, dims)
        axes = range(len(dims)) if self._whole(name, dims) else [axis for axis in range(len(dims)) if axis != batch]
        for axis, extent in zip(axes, shape[1:]):
            symbol = dims[axis]
            if isinstance(symbol, str) and symbol and axis != batch:
                self.bound.setdefault(symbol, int(extent))

    def _whole(self, name: str, dims: Sequence[Dim]) -> bool:
        return self.said.batch == NO_BATCH or len(self.said.data.get(name, ())) == len(dims) + 1

    def _named_batch(self, name: str, dims: Sequence[Dim]) -> int:
        """The axis that the user or its name says is the batch; else 0, for which `_fixed` looks for reasons."""
        chosen = [axis for axis, extent in enumerate(self.said.shapes.get(name, ())) if extent == BATCH] or [
            axis for axis, dim in enumerate(dims) if dim in self.batches
        ]
        if len(chosen) > 1:
            self._fail(
                f"input {name!r}: several axes are said to be the batch ({', '.join(map(str, chosen))}); name one"
            )
        if chosen:
            return chosen[0]
        first = {declared[0] for declared in self.declared.values() if declared}
        inside = {dim for dim in dims if dims[0] == 1 and dim not in first and _LETTERS.fullmatch(str(dim))}
        named = [axis for axis, dim in enumerate(dims) if isinstance(dim, str) and _BATCHES.fullmatch(dim)]
        return named[0] if named and dims[named[0]] not in inside else 0

    def _fixed(self, name: str, dims: Sequence[Dim]) -> Fixed:
        if not dims:
            return Fixed((), 0, "")
        axis = self._batch_axis(name, dims)
        shape = tuple(self._extent(name, dims, at, at == axis) for at in range(len(dims)))
        symbol = dims[axis] if axis is not None and isinstance(dims[axis], str) else ""
        return Fixed(shape, axis, symbol)

    def _batch_axis(self, name: str, dims: Sequence[Dim]) -> int | None:
        if self.said.batch == NO_BATCH:
            return None
        axis = self._named_batch(name, dims)
        dim = dims[axis]
        if self._whole(name, dims):
            return axis if self._extent(name, dims, axis, True) == 1 == self.said.data[name][1 + axis] else None
        if (
            isinstance(dim, int)
            or dim in self.batches
            or _BATCHES.fullmatch(dim)
            or BATCH in self.said.shapes.get(name, ())
        ):
            return axis
        if self.bound.get(dim, 1) != 1 and not _NAMELESS.fullmatch(dim):
            return None  # The name was given an extent like any other.
        if dim in self.bound:
            return axis
        if self.said.batch is not None or _NAMELESS.fullmatch(dim):
            if self.said.batch is None and name not in self.said.data and name not in self.said.shapes:
                self.notes.append(
                    f"input {name!r}: axis 0, which is symbolic, is taken for the batch; --batch none says that it is "
                    "none"
                )
            return axis
        if name in self.said.data and not _LENGTHS.fullmatch(dim):
            self.notes.append(
                f"input {name!r}: axis 0 ({dim!r}) is taken for the batch; --dim {dim}=EXTENT says that it is none"
            )
            return axis
        self._fail(
            f"input {name!r}: is axis 0 ({dim!r}) the batch? Add --dim {dim}=batch if it is, or its extent, --dim "
            f"{dim}=128, if a sample has that axis"
        )

    def _extent(self, name: str, dims: Sequence[Dim], axis: int, is_batch: bool) -> Any:
        dim = dims[axis]
        if isinstance(dim, int):
            return dim
        said = self.said.shapes.get(name, [BATCH] * len(dims))[axis]
        if said != BATCH:
            return int(said)
        if dim in self.bound and dim:
            return int(self.bound[dim])
        if is_batch:
            return 1 if self.said.batch is None else self.said.batch
        if name in self.said.data:
            shape = self.said.data[name]
            if len(shape) == len(dims) + 1:
                return int(shape[1 + axis])
            if len(shape) == len(dims) and self.said.batch != NO_BATCH:
                batch = self._named_batch(name, dims)
                return int(shape[axis if axis > batch else axis + 1])
        self.open.setdefault(name, []).append(axis)
        return 1

    def _refuse_open(self) -> None:
        name, axes = next(iter(self.open.items()))
        dims = self.declared[name]
        where = ", ".join(f"{dims[axis]!r} at axis {axis}" if dims[axis] else f"axis {axis}" for axis in axes)
        if all(self.declared[n][axis] for n, several in self.open.items() for axis in several):
            symbols = dict.fromkeys(self.declared[n][axis] for n, several in self.open.items() for axis in several)
            remedy = " ".join(f"--dim {_quoted(str(symbol))}={_example(dims)}" for symbol in symbols)
        else:
            written = (
                str(dim) if isinstance(dim, int) else str(self.bound.get(dim, _example(dims) if axis in axes else 1))
                for axis, dim in enumerate(dims)
            )
            remedy = f"--shape {_quoted(name)}={'x'.join(written)}"
        self._fail(
            f"input {name!r} {_text(dims)} leaves {where} open; add {remedy} with the extents that you want, or data "
            "that show them"
        )

    def _fail(self, reason: str) -> NoReturn:
        raise UnsupportedModelError(f"{self.path}: {reason}")


def _text(dims: Sequence[Dim]) -> str:
    return f"[{', '.join(str(dim) if dim != '' else '?' for dim in dims)}]"


def _example(dims: Sequence[Dim]) -> int:
    return 224 if len(dims) == 4 else 128


def _quoted(text: str) -> str:
    return text if re.fullmatch(r"[\w./:-]+", text) else f"'{text}'"
