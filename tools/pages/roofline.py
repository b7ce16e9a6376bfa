"""The roofline picture: every kernel by its operations per byte and its rate, under the roofs of the machine."""

import numpy as np

from ..benchmarking.benchmark import device_entry, machine_peak
from ..benchmarking.profile import profile_of
from . import plots

_LEVELS = (("l2_gbytes", "L2"), ("l3_gbytes", "L3"), ("memory_gbytes", "memory"))
_NAMED, _APART = 5, 0.15  # So many points have a name, if two of them are at least so far apart as a logarithm.
_LEAST_SHARE = 1e-4  # A point with a smaller part of the time cannot be seen.


def roofline(kernels: list[dict], peak: dict) -> str:
    """SVG. kernels: of profile.profile_of; those with multiply-adds are drawn, as large as their share of the time.
    peak: of the same machine and cores."""
    shown = [k for k in kernels if k["macs"] and k["bytes"] and k["share"] > _LEAST_SHARE]
    with plots.drawn(9.5, 4.6) as (axes, text):
        intensity = [2 * k["macs"] / k["bytes"] for k in shown] or [1.0]
        ends = np.array([min(intensity) / 3, max(*intensity, peak["int8_gops"] / peak["memory_gbytes"]) * 2])
        top = peak["int8_gops"]
        for (key, name), style in (
            (level, style) for level, style in zip(_LEVELS, ("-", "--", ":")) if level[0] in peak
        ):
            knee = top / peak[key]
            axes.plot([ends[0], knee], [ends[0] * peak[key], top], style, color="#4b5563", linewidth=1)
            axes.annotate(
                f"{name} {peak[key]:.0f} GB/s",
                (ends[0], ends[0] * peak[key]),
                (2, 3),
                textcoords="offset points",
                fontsize=7,
                color="#4b5563",
            )
        for rate, name, colour in (
            (peak["int8_gops"], "int8", plots.INT8),
            (peak["float32_gflops"], "fp32", plots.FLOAT),
        ):
            axes.axhline(rate, color=colour, linewidth=1)
            axes.annotate(
                f"{name} peak {rate:.0f} Gop/s",
                (ends[1], rate),
                (-2, 3),
                textcoords="offset points",
                ha="right",
                fontsize=7,
                color=colour,
            )
        for dtype, colour in (("int8", plots.INT8), ("float32", plots.FLOAT)):
            mine = [k for k in shown if k["dtype"] == dtype]
            axes.scatter(
                [2 * k["macs"] / k["bytes"] for k in mine],
                [k["gops"] for k in mine],
                [12 + 1500 * k["share"] for k in mine],
                colour,
                alpha=0.55,
                linewidths=0.4,
                edgecolors="white",
            )
        for k in _named(shown):
            axes.annotate(
                plots.short_name(k["layer"] or k["name"], 24),
                (2 * k["macs"] / k["bytes"], k["gops"]),
                (4, -9),
                textcoords="offset points",
                fontsize=6,
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(*ends)
        axes.set_xlabel("operations per byte read or written")
        axes.set_ylabel("Gop/s")
        return text()


def _named(kernels):
    """Those with most to gain; of several in one place the first."""
    chosen: list[dict] = []
    for k in sorted(kernels, key=lambda k: k["limit"] - k["seconds"]):
        at = np.log([k["macs"] / k["bytes"], k["gops"]])
        if all(np.abs(at - np.log([o["macs"] / o["bytes"], o["gops"]])).max() > _APART for o in chosen):
            chosen.append(k)
    return chosen[:_NAMED]


def section(session, feed: dict, info: dict) -> tuple[str, str, str]:
    """Draws the kernels beneath the roofs of this machine.

    (id, title, HTML) for the report. Measures the kernels and this machine: some seconds."""
    peak = machine_peak(session)
    kernels = profile_of(session, feed, peak, info)
    times = {
        part: sum(k["seconds"] for k in kernels if k["part"] == part) for part in ("kernel", "conversion", "reformat")
    }
    total = sum(times.values())
    words = ", ".join(f"{name}s {seconds / total:.0%}" for name, seconds in times.items())
    text = (
        "<p>Every kernel with multiply-adds: how many operations it makes of a byte, and how fast. The area is its "
        "share of the time; named are those with most to gain. "
        f"{device_entry(session).get('device') or f'{session.threads} core' + 's' * (session.threads > 1)}, "
        f"{session.target}. Time: {words}.</p>"
    )
    return "roofline", "Roofline", f'{text}<div class="wide">{roofline(kernels, peak.as_dict())}</div>'
