"""The layers that every tile is tried on: several waves of blocks, 3x3 with a zero point, and a residual or a table
behind it; and a linear layer that widens, whose sums are short beside its epilogue. Both machines make the same data
from a seed."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from octet.targets.cuda.kernels.conv import Conv, ConvKernel, Epilogue, conv_kernel
from octet.targets.cuda.kernels.conv_schedule import SPLITS, TURNS, WGMMA, Tile, buildable, candidates, units
from octet.targets.cuda.layout import pack, packed

KINDS = ("residual", "table")
WIDENS = "widens"
HEIGHTS = (8, 16, 32)  # WMMA fragments have these.
_UNIT = {0: "", WGMMA: " wgmma", TURNS: " turns"}


@dataclass(frozen=True)
class Size:
    """Images, channels, height, width, outputs."""

    images: int
    channels: int
    height: int
    width: int
    outputs: int


# Outputs are whole granules, so that no byte of the result is unspecified, and no multiple of most tiles.
WAVES = Size(64, 136, 28, 27, 240)
SMALL = Size(1, 40, 6, 5, 48)  # The emulated driver gets this one.
_LINEAR = {WAVES: Size(4096, 768, 1, 1, 3072), SMALL: Size(70, 40, 1, 1, 80)}  # BERT-base has the large one.


class Layer:
    """problem, epilogue, data and the packed operands, of one kind."""

    def __init__(self, kind: str, size: Size):
        s, rng = _LINEAR[size] if kind == WIDENS else size, np.random.default_rng(11)
        self.kind, taps = kind, 1 if kind == WIDENS else 3
        self.padding = [taps // 2] * 4
        self.x, self.residual = (
            _codes(rng, s.images, channels, s.height, s.width) for channels in (s.channels, s.outputs)
        )
        self.weight = _codes(rng, s.outputs, s.channels, taps, taps)
        self.bias = rng.integers(-9999, 9999, s.outputs).astype(np.int32)
        self.multiplier = (
            (rng.random(s.outputs).astype(np.float32) + np.float32(0.5))
            * np.float32(0.6 / (73.5 * np.sqrt(taps * taps * s.channels)))
        ).astype(np.float32)
        self.table = rng.permutation(256).astype(np.uint8).view(np.int8)
        self.layout, self.result = packed(self.x.shape), packed(self.residual.shape)
        self.problem = Conv(
            s.images,
            s.height,
            s.width,
            s.height,
            s.width,
            taps,
            taps,
            1,
            1,
            taps // 2,
            taps // 2,
            1,
            1,
            self.layout.stride,
            self.result.stride,
            1,
            s.channels,
            s.outputs,
            -9,
        )
        self.epilogue = Epilogue(
            False, 5, -128, 100, 0.0, 0.0, kind == "residual", -2, 0.4 if kind == "residual" else 0.0
        )

    def kernel(self, tile: Tile, spec) -> ConvKernel:
        return conv_kernel(
            self.problem,
            self.epilogue,
            self.weight,
            self.bias,
            self.multiplier,
            spec,
            tile,
            self.table if self.kind == "table" else None,
        )

    def wanted(self) -> np.ndarray:
        """What the referee makes of it, as it lies in the result; needs TVM's environment."""
        from octet.passes.referee.integer import INTEGER

        attributes = dict(
            data_zero_point=-9,
            strides=[1, 1],
            padding=self.padding,
            dilation=[1, 1],
            groups=1,
            out_dtype="int8",
            out_zero_point=5,
            clip_min=-128,
            clip_max=100,
        )
        arguments = [self.x, self.weight, self.bias, self.multiplier]
        if self.kind == WIDENS:
            return pack(self.result, INTEGER["octet.conv2d"](arguments, attributes))
        if self.kind == "residual":
            return pack(
                self.result,
                INTEGER["octet.conv2d"](
                    [*arguments, self.residual], attributes | dict(residual_zero_point=-2, residual_multiplier=0.4)
                ),
            )
        return pack(self.result, self.table[INTEGER["octet.conv2d"](arguments, attributes).astype(np.int16) + 128])

    def digest(self) -> str:
        """Of the data, which a NumPy of another version might make otherwise."""
        return hashlib.sha256(
            b"".join(a.tobytes() for a in (self.x, self.residual, self.weight, self.bias, self.multiplier, self.table))
        ).hexdigest()

    def operands(self) -> tuple[np.ndarray, np.ndarray]:
        """(data, residual) as kernels read them."""
        return pack(self.layout, self.x), pack(self.result, self.residual)


def tiles(spec, size: Size) -> dict[str, list[tuple[str, Tile]]]:
    """{module: [(kind, tile)]}: every tile by mma.sync, and by wgmma where the target has it (in turns, too), with both
    kinds, by WMMA with one of them and a fragment of one shape; each whole and split as often as it may be. Whole ones
    of all but WMMA widen, too."""
    problem, found = Layer("residual", size).problem, {}
    for number, tile in enumerate(tile for unit in units(spec, False) for tile in candidates(spec, unit)):
        name = f"{tile.rows}x{tile.columns}x{tile.depth}{_UNIT.get(tile.wmma, '').replace(' ', '-')}"
        most = max((splits for splits in SPLITS if buildable(problem, replace(tile, splits=splits), spec)), default=1)
        parts = sorted({1, most})
        found[name] = [(kind, replace(tile, splits=splits)) for kind in KINDS for splits in parts] + [(WIDENS, tile)]
        height = (
            None
            if tile.by_wgmma
            else next(
                (h for h in (*HEIGHTS[number % 3 :], *HEIGHTS) if replace(tile, wmma=h) in candidates(spec, h)), None
            )
        )
        if height is not None:
            found[f"{name}-wmma{height}"] = [
                (KINDS[number % 2], replace(tile, splits=splits, wmma=height)) for splits in parts
            ]
    return found


def title(kind: str, tile: Tile) -> str:
    return (
        f"{tile.rows}x{tile.columns}x{tile.depth} splits "
        f"{tile.splits}{_UNIT.get(tile.wmma, f' wmma{tile.wmma}')} {kind}"
    )


def _codes(rng, *shape):
    return rng.integers(-128, 128, shape).astype(np.int8)
