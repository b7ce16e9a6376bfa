"""The plots of the report, as SVG text that stands in the page."""

from io import StringIO

import numpy as np

from ..targets.errors import OctetError

_FLOOR = 1e-8  # below: as good as exact


def figure(width: float = 9.0, height: float = 3.2):
    """(figure, axes). Raises OctetError where matplotlib is not installed."""
    try:
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError:
        raise OctetError("--report needs matplotlib and jinja2; install them with pip install 'octet[report]'") from None
    made = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(made)
    return made, made.add_subplot()


def svg(made) -> str:
    """The same bytes for the same figure: no date, ids by a fixed salt."""
    import matplotlib

    text = StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "octet", "svg.fonttype": "none"}):
        made.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    found = text.getvalue()
    return found[found.index("<svg") :]


def noise(errors) -> str:
    """Own and inherited error of every operator in int8 (1 / SQNR, logarithmic)."""
    made, axes = figure(height=3.8)
    at = np.arange(len(errors))
    axes.bar(at - 0.2, [max(e.own, _FLOOR) for e in errors], 0.4, label="own")
    axes.bar(at + 0.2, [max(e.inherited, _FLOOR) for e in errors], 0.4, label="inherited")
    axes.set_yscale("log")
    axes.set_ylabel("error / signal")
    axes.set_xticks(at, [short(e.name) for e in errors], rotation=90, fontsize=6)
    axes.legend()
    return svg(made)


def histogram(name: str, statistics, qparams) -> str:
    """Values of a tensor with the range that was chosen."""
    made, axes = figure(4.2, 2.2)
    low, high = statistics.range
    low, high = min(low, qparams.range[0]), max(high, qparams.range[1])
    if low < high:
        edges = np.linspace(low, high, 121)
        axes.stairs(statistics.linear(low, high, 120), edges, fill=True)
        axes.set_yscale("symlog", linthresh=1)
    for end in qparams.range:
        axes.axvline(end, color="crimson", linewidth=1)
    axes.set_title(short(name), fontsize=8)
    axes.tick_params(labelsize=6)
    return svg(made)


def channels(name: str, weight: np.ndarray, axis: int) -> str:
    """Largest magnitude of the weights of every output channel."""
    made, axes = figure(4.2, 1.8)
    largest = np.abs(weight).max(axis=tuple(i for i in range(weight.ndim) if i != axis))
    axes.plot(largest, ".", markersize=3)
    axes.set_yscale("log" if np.any(largest > 0) else "linear")
    axes.set_title(short(name), fontsize=8)
    axes.tick_params(labelsize=6)
    return svg(made)


def short(name: str, most: int = 28) -> str:
    """The end of a long name, which tells layers apart; `$` would start a formula."""
    return (name if len(name) <= most else "…" + name[-most:]).replace("$", "")
