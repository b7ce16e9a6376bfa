"""Options that give a network's inputs their shapes; every command that reads ONNX takes them."""

import functools

import click

from ..building.given import Given

_LARGEST = (1 << 31) - 1  # No extent is larger than this.
_MOST = 1024  # A dimension takes at most so many extents, as a package has fewer shapes.


class _Named(click.ParamType):
    """NAME=VALUE; the name may hold "=" itself."""

    def __init__(self, name, convert, example):
        self.name, self._convert, self._example = name, convert, example

    def convert(self, value, param, ctx):
        """(name, value)."""
        name, _, text = value.rpartition("=")
        try:
            converted = self._convert(text)
        except ValueError:
            name = ""
        return (name, converted) if name else self.fail(f"{value}: write {self._example}", param, ctx)


class _Batch(click.IntRange):
    """1 or more, or none."""

    def __init__(self):
        super().__init__(min=1)

    def convert(self, value, param, ctx):
        """An int, or "none"."""
        try:
            if value == "none" or (value := super().convert(value, param, ctx)) <= _LARGEST:
                return value
        except click.BadParameter:
            pass
        self.fail(f"{value}: write 1 or more, or none", param, ctx)


def _extent(text):
    if text == "batch":
        return text
    extent = int(text)
    if not 1 <= extent <= _LARGEST:
        raise ValueError(text)
    return extent


def _extents(text):
    """One extent, several with commas, or first:last:step."""
    if ":" in text:
        first, last, step = map(int, text.split(":"))
        if min(first, step) < 1 or not first <= last <= _LARGEST or (last - first) // step >= _MOST:
            raise ValueError(text)
        return _one_or_several(tuple(range(first, last + 1, step)))
    return _one_or_several(tuple(map(_extent, text.split(","))))


def _shape(text):
    return tuple(_extent(part) for part in text.split("x")) if text else ()


def _shapes(text):
    return _one_or_several(tuple(map(_shape, text.split(","))))


def _one_or_several(found):
    if len(found) > 1 and "batch" in found:
        raise ValueError(found)
    return found[0] if len(found) == 1 else found


def _number(text):
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    return int(text) if text.lstrip("+-").isdigit() else float(text)


_OPTIONS = (
    click.option(
        "--batch",
        type=_Batch(),
        metavar="N",
        help="Extent of a symbolic batch dimension [default: 1]; none: a sample has all axes of an input.",
    ),
    click.option(
        "--shape",
        "shapes",
        multiple=True,
        type=_Named("shape", _shapes, "NAME=1x3x640x640"),
        metavar="NAME=1x3x640x640",
        help=(
            "Extents of an input; `batch` in place of one says where the samples lie. Several for one package with "
            "commas. May be repeated."
        ),
    ),
    click.option(
        "--dim",
        "dims",
        multiple=True,
        type=_Named("dim", _extents, "NAME=64, NAME=32,64,128 or NAME=32:128:32"),
        metavar="NAME=64",
        help=(
            "Extent of a symbolic dimension, or NAME=batch; several for one package: 32,64,128 or 32:128:32. May be "
            "repeated."
        ),
    ),
    click.option(
        "--fix",
        "values",
        multiple=True,
        type=_Named("value", _number, "NAME=16000"),
        metavar="NAME=VALUE",
        help="An input that always has this value becomes a constant. May be repeated.",
    ),
    click.option(
        "--pad",
        "pads",
        multiple=True,
        type=_Named("pad", _number, "NAME=0"),
        metavar="NAME=VALUE",
        help="Of several shapes: arrays in between are padded with it, which must not change results. May be repeated.",
    ),
)


def input_options(command):
    """--batch, --shape, --dim, --fix, --pad, as one argument `given`."""

    @functools.wraps(command)
    def gathered(*args, batch, shapes, dims, values, pads, **options):
        return command(*args, given=Given(batch, dict(shapes), dict(dims), dict(values), dict(pads)), **options)

    for option in reversed(_OPTIONS):
        gathered = option(gathered)
    return gathered
