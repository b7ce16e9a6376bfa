"""The checksum of a layer with int8 weights, modulo 2^32:

    sum over pixels p and channels o of count[p, o] * r[o] * acc[p, o]
        = sum over input bytes x[i, c] of x[i, c] * a[i, c] + constant

The left side is added up by the layer's kernel from the sums that it requantises (conv/left_sums.py); count[p, o] is
how often it computes a sum. The right side is added up from the input, when that is written. r: an odd number per
output channel. a[i, c]: what the weights say that a byte adds to the left side,

    a[i, c] = sum over taps and pixels p that read (i, c) at that tap of count[p] * w'[c, tap],
            w'[c, tap] = sum over o of count[o] * r[o] * w[o, c, tap],

computed here, at compile time, and kept apart from the weights. x are stored bytes (u8), acc the kernel's sums with
their bias, in which the zero point is folded.

What it finds, for certain: a flipped bit of a weight changes the left side by r[o] * 2^b * (a sum of bytes, none
negative), which is no multiple of 2^32 below 130,000 pixels; of a sum by r[o] * 2^b; of a byte in flight by 2^b * a[i,
c], and r is chosen so that no a[i, c] that matters is a multiple of 2^25. Where no r does that (a filter whose taps add
up to nothing), `covered` is False and the input is guarded byte by byte (`byte_sum`)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...watch.odd_numbers import odd_numbers
from ..conv.direct_schedule import is_matmul
from ..conv.problem import ConvProblem
from ..layout import STORED_OFFSET

if TYPE_CHECKING:
    pass

BYTES = 64
_ROW = 1024  # The rows of a matrix product share coefficients; a row has at least 1024 bytes of the input.
_TRIES = 24


@dataclass(frozen=True)
class Weighted:
    """A sum of bytes with coefficients. starts, offsets: int32, of every row its first byte and the first byte of
    its coefficients in `digits`: int8 [streams][vectors][digits][64], numbers to a base that the kernel knows
    (kernels.py)."""

    starts: np.ndarray
    offsets: np.ndarray
    digits: np.ndarray


@dataclass(frozen=True)
class LayerSum:
    """What a weighted sum of a layer's results must be, given its input. r: int32 [out_channels]. right: of the right
    side, without its `constant` (int32). covered: whether every byte that the layer reads has a coefficient that shows
    each of its bits; complete: whether every byte of the input has one."""

    r: np.ndarray
    right: Weighted
    constant: int
    covered: bool
    complete: bool


def layer_sum(
    p: ConvProblem, weight: np.ndarray, bias: np.ndarray, counts: np.ndarray, channels: np.ndarray, base: int
) -> LayerSum:
    """The weighted sum by which a layer is checked. weight: s8 OIHW. bias: s32 with the zero point folded in. counts,
    channels: of `computed` and `computed_channels`. base: 256, or 128 for dot products that add pairs in int16."""
    wide, best = weight.astype(np.int64), None
    rows = _flat_rows(p, counts) if is_matmul(p) else _image_rows(p, counts)
    reads = _input_channels(p, (wide != 0).astype(np.int64), np.ones(p.out_channels, np.int64)) != 0
    for attempt in range(_TRIES):
        r = odd_numbers(p.out_channels, attempt)
        rows_of, missed = _streams(rows, _input_channels(p, wide, r * channels), reads)
        if best is None or missed < best[0]:
            best = (missed, r, rows_of)
        if missed == 0:
            break
    assert best is not None
    missed, r, streams = best
    digits, vectors = _digits(p, streams, base)
    kept = [i for i, (_, key) in enumerate(rows.places) if streams[key].any()]
    numbers = {key: i for i, key in enumerate(streams)}
    kept.reverse()  # The bytes written last are still in the nearest cache.
    starts = np.array([rows.places[i][0] for i in kept], np.int32)
    offsets = np.array([numbers[rows.places[i][1]] * vectors * digits.shape[2] * BYTES for i in kept], np.int32)
    return LayerSum(
        r.astype(np.int32),
        Weighted(starts, offsets, digits),
        _constant(p, wide, bias, counts, r * channels),
        missed == 0,
        _complete(rows, streams),
    )


def byte_sum(size: int) -> Weighted:
    """The sum of `size` bytes; a flipped bit of one changes it by 2^b."""
    row = min(size, _ROW)
    starts = [min(first, size - row) for first in range(0, size, row)][::-1]
    digits = np.zeros((2, -(-row // BYTES) * BYTES), np.int8)
    digits[0, :row] = 1
    # The last row overlaps the one before and sums up only what that one does not have.
    digits[1, -size % row : row] = 1
    offsets = np.zeros(len(starts), np.int32)
    offsets[0] = digits.shape[1]
    return Weighted(np.array(starts, np.int32), offsets, digits.reshape(2, -1, 1, BYTES))


def _input_channels(p: ConvProblem, weight: np.ndarray, r: np.ndarray) -> np.ndarray:
    """w'[c, kh, kw] of all input channels."""
    outs = p.out_channels // p.groups
    grouped = weight.reshape(p.groups, outs, -1)
    return np.matmul(r.reshape(p.groups, 1, outs), grouped).reshape(p.channels, *weight.shape[2:])


@dataclass(frozen=True)
class _Rows:
    """The rows of an input that share their counts of reads. places: (first byte, key) of every row. counts: by key,
    int64 [positions, kernel height, kernel width]: how often a position is read at each tap, times how often the result
    is computed. overlap: whether a position without a count belongs to another row."""

    places: list[tuple[int, bytes]]
    counts: dict[bytes, np.ndarray]
    overlap: bool


def _flat_rows(p: ConvProblem, counts: np.ndarray) -> _Rows:
    """Pixels of a matrix product, as many as fill whole vectors; the last row ends at the last pixel and leaves out
    what another one has."""
    pixels, flat = p.batch * p.height * p.width, counts.reshape(-1)
    step = BYTES // np.gcd(BYTES, p.data_stride)
    group = min(pixels, -(-_ROW // (step * p.data_stride)) * step)
    places = []
    found: dict[bytes, np.ndarray] = {}
    for first in range(0, pixels, group):
        start = min(first, pixels - group)
        row = np.where(np.arange(start, start + group) >= first, flat[start : start + group], 0)
        found.setdefault(row.tobytes(), row[:, None, None])
        places.append((start * p.data_stride, row.tobytes()))
    return _Rows(places, found, True)


def _image_rows(p: ConvProblem, counts: np.ndarray) -> _Rows:
    """Rows of the image; those that are read alike share their coefficients."""
    (kh, kw), (sh, sw), (dh, dw), (top, left) = p.kernel, p.strides, p.dilation, p.padding[:2]
    places, found = [], {}
    for image in range(p.batch):
        for y in range(p.height):
            taken = []
            for u in range(kh):
                at = y + top - u * dh
                inside = at % sh == 0 and 0 <= at // sh < p.out_height
                taken.append(counts[image, at // sh] if inside else np.zeros(p.out_width, np.int64))
            key = np.stack(taken).tobytes()
            if key not in found:
                row = np.zeros((p.width, kh, kw), np.int64)
                for v in range(kw):
                    x = np.arange(p.out_width) * sw - left + v * dw
                    within = (x >= 0) & (x < p.width)
                    for u in range(kh):
                        row[x[within], u, v] += taken[u][within]
                found[key] = row
            places.append(((image * p.height + y) * p.width * p.data_stride, key))
    return _Rows(places, found, False)


def _streams(rows: _Rows, channels: np.ndarray, reads: np.ndarray) -> tuple[dict[bytes, np.ndarray], int]:
    """({key: coefficients int64 [positions, channels]}, how many bytes are read whose coefficient hides a bit)."""
    found, missed = {}, 0
    for key, counts in rows.counts.items():
        stream = np.einsum("xuv,cuv->xc", counts, channels)
        read = np.einsum("xuv,cuv->xc", (counts != 0).astype(np.int64), reads.astype(np.int64)) != 0
        missed += int((read & ~_shows(stream)).sum())
        found[key] = stream
    return found, missed


def _complete(rows: _Rows, streams: dict[bytes, np.ndarray]) -> bool:
    return all(
        ((counts == 0).all((1, 2))[:, None] & rows.overlap | _shows(streams[key])).all()
        for key, counts in rows.counts.items()
    )


def _shows(coefficients: np.ndarray) -> np.ndarray:
    """Whether a flipped bit of a byte with this coefficient changes the sum."""
    return coefficients % (1 << 25) != 0


def _digits(p: ConvProblem, streams: dict[bytes, np.ndarray], base: int) -> tuple[np.ndarray, int]:
    """(int8 [streams][vectors][digits][64], vectors): sum of digit[d] * base^d = coefficient, modulo 2^32; padding has
    coefficient 0."""
    positions = len(next(iter(streams.values())))
    vectors = -(-positions * p.data_stride // BYTES)
    values = np.zeros((len(streams), vectors * BYTES), np.int64)
    for i, stream in enumerate(streams.values()):
        padded = np.zeros((positions, p.data_stride), np.int64)
        padded[:, : p.channels] = stream
        values[i, : padded.size] = padded.reshape(-1)
    values = (values + (1 << 31)) % (1 << 32) - (1 << 31)
    planes: list[np.ndarray] = []
    while not planes or values.any() and base ** len(planes) < 1 << 32:
        digit = (values + base // 2) % base - base // 2
        planes.append(digit.astype(np.int8))
        values = (values - digit) // base
    digits = np.stack(planes, axis=1).reshape(len(streams), len(planes), vectors, BYTES)
    return np.ascontiguousarray(digits.transpose(0, 2, 1, 3)), vectors


def _constant(p: ConvProblem, weight: np.ndarray, bias: np.ndarray, counts: np.ndarray, r: np.ndarray) -> int:
    """What bias and padding add: the folded bias of every result, and the zero point at every tap beside the image."""
    total = int(counts.sum()) * int((r * bias.astype(np.int64)).sum())
    (kh, kw), (sh, sw), (dh, dw) = p.kernel, p.strides, p.dilation
    rows = np.arange(p.out_height)[:, None] * sh - p.padding[0] + np.arange(kh) * dh
    columns = np.arange(p.out_width)[:, None] * sw - p.padding[1] + np.arange(kw) * dw
    inside = [((at >= 0) & (at < size)).astype(np.int64) for at, size in ((rows, p.height), (columns, p.width))]
    within = np.einsum("nyx,yu,xv->uv", counts, *inside)
    taps = _per_tap(p, weight, r)
    total += (p.data_zero_point + STORED_OFFSET) * int(((int(counts.sum()) - within) * taps).sum())
    return (total + (1 << 31)) % (1 << 32) - (1 << 31)


def _per_tap(p: ConvProblem, weight: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Of one result, all channels together: sum over o and its inputs of r[o] * w."""
    return np.einsum("o,ocuv->uv", r, weight)
