"""The many small plots of the report, written as SVG without a plotting library: a hundred of them cost milliseconds
and a few kilobytes each."""

from math import ceil, floor, log10

import numpy as np

from .plots import INT8, OWN, RED

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 360, 170, 40, 20, 8
_BARS = 120


def histogram_plot(statistics, qparams) -> str:
    """Values of a tensor, logarithmic, with the range that was chosen; what is clipped is red."""
    low, high = statistics.range
    low, high = min(low, qparams.range[0]), max(high, qparams.range[1])
    if low >= high:
        return ""
    counts, edges = statistics.linear(low, high, _BARS), np.linspace(low, high, _BARS + 1)
    heights = np.log10(1 + np.maximum(counts, 0))
    top = max(ceil(heights.max() * 1.05), 1)
    across, up = _scale(low, high, _LEFT, _WIDTH - 8), _scale(0, top, _HEIGHT - _BOTTOM, _TOP)
    centres = (edges[1:] + edges[:-1]) / 2
    clipped = (centres < qparams.range[0]) | (centres > qparams.range[1])
    parts = [
        _axes(
            [(across(v), f"{v:g}") for v in _ticks(low, high)],
            [(up(v), f"1e{v}" if v else "0") for v in range(0, top + 1, max(1, top // 3))],
        )
    ]
    for colour, chosen in ((OWN, ~clipped & (counts > 0)), (RED, clipped & (counts > 0))):
        bars = "".join(
            f"M{across(edges[i]):.1f} {up(0):.1f}V{up(heights[i]):.1f}H{across(edges[i + 1]):.1f}V{up(0):.1f}Z"
            for i in np.flatnonzero(chosen)
        )
        parts.append(f'<path d="{bars}" fill="{colour}"/>')
    parts += [f'<path d="M{across(end):.1f} {_TOP}V{up(0):.1f}" stroke="{RED}"/>' for end in qparams.range]
    return _drawing(parts)


def channels(weight: np.ndarray, axis: int) -> str:
    """Smallest and largest weight of every output channel."""
    rest = tuple(i for i in range(weight.ndim) if i != axis)
    low, high = weight.min(axis=rest), weight.max(axis=rest)
    bottom, top = min(low.min(), 0.0), max(high.max(), 0.0)
    if bottom == top:
        return ""
    across, up = _scale(-0.5, len(low) - 0.5, _LEFT, _WIDTH - 8), _scale(bottom, top, _HEIGHT - _BOTTOM - 4, _TOP)
    lines = "".join(f"M{across(i):.1f} {up(a):.1f}V{up(b):.1f}" for i, (a, b) in enumerate(zip(low, high)))
    width = np.clip(0.7 * (_WIDTH - _LEFT) / len(low), 0.4, 6)
    whole = [v for v in _ticks(0, max(len(low) - 1, 1)) if v == int(v)]
    parts = [_axes([(across(v), f"{v:g}") for v in whole], [(up(v), f"{v:g}") for v in _ticks(bottom, top)])]
    parts += [
        f'<path d="{lines}" stroke="{INT8}" stroke-width="{width:.1f}" fill="none"/>',
        f'<path d="M{_LEFT} {up(0):.1f}H{_WIDTH - 8}" stroke="#9ca3af" stroke-width=".6"/>',
    ]
    return _drawing(parts)


def _scale(low, high, start, end):
    return lambda value: start + (float(value) - low) / (high - low) * (end - start)


def _ticks(low, high, about=5):
    """Round numbers from low to high."""
    raw = (high - low) / about
    power = 10.0 ** floor(log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    return [round(i * step, 12) for i in range(ceil(low / step), floor(high / step) + 1)]


def _axes(across, up):
    floor_ = _HEIGHT - _BOTTOM
    parts = [f'<path d="M{_LEFT} {_TOP}V{floor_}H{_WIDTH - 8}" stroke="#9ca3af" fill="none"/>']
    parts += [f'<text x="{x:.1f}" y="{floor_ + 13}" text-anchor="middle">{label}</text>' for x, label in across]
    parts += [f'<text x="{_LEFT - 5}" y="{y + 3:.1f}" text-anchor="end">{label}</text>' for y, label in up]
    return "".join(parts)


def _drawing(parts):
    body = "".join(parts)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" '
        f'font-size="9" fill="#4b5563" font-family="sans-serif" role="img">{body}</svg>'
    )
