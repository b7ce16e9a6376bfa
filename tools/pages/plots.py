"""The plots of the report, as SVG text that stands in the page."""

import warnings
from contextlib import contextmanager
from io import StringIO

import numpy as np

from ...targets.errors import OctetError
from ...targets.schema import printable
from ..console import decibels as in_words

OWN, INHERITED, INT8, FLOAT, RED = "#2563eb", "#f59e0b", "#0f766e", "#9ca3af", "#dc2626"
# These are in dB: below the floor a value is as good as exact, and above the ceiling no plot shows how bad it is, nor
# what is not finite.
_FLOOR, _CEILING = -90.0, 60.0
_STYLE = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9ca3af",
    "axes.labelcolor": "#374151",
    "axes.axisbelow": True,
    "xtick.color": "#4b5563",
    "ytick.color": "#4b5563",
    "font.family": "sans-serif",
    "font.size": 8,
    "svg.hashsalt": "octet",
    "svg.fonttype": "none",
    "legend.frameon": False,
}


def require_plots(option: str = "--report") -> None:
    """Raises OctetError where matplotlib or jinja2 is not installed, which `option` needs."""
    try:
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401
    except ImportError:
        raise OctetError(
            f"{option} needs matplotlib and jinja2; install them with pip install 'octet[report]'"
        ) from None


@contextmanager
def drawn(width: float, height: float, columns: int = 1):
    """(axes, text): draw on the axes (a list where there are several columns); text() is the SVG, the same bytes for
    the same drawing."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        made = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(made)
        axes = made.subplots(1, columns)

        def text():
            stream = StringIO()
            with warnings.catch_warnings():
                # Names are in any script, and text stays text: the browser has the fonts.
                warnings.filterwarnings("ignore", "Glyph ")
                made.savefig(stream, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
            return stream.getvalue()[stream.getvalue().index("<svg") :]

        yield axes, text


def before_after(panels) -> str:
    """Draws bars of fp32 and int8, a panel for each figure.

    panels: (title, fp32, int8, label of fp32, label of int8) each: two bars beside each other."""
    with drawn(3.6 * len(panels), 1.5, len(panels)) as (axes, text):
        for panel, (title, *figures, first, second) in zip(np.atleast_1d(axes), panels):
            # The label says which figures are not finite.
            values = [value if np.isfinite(value) else 0.0 for value in figures]
            panel.barh([1, 0], values, 0.6, color=[FLOAT, INT8])
            panel.set_yticks([1, 0], ["fp32", "int8"])
            for at, value, label in zip((1, 0), values, (first, second)):
                panel.annotate(label, (value, at), (4, 0), textcoords="offset points", va="center", fontsize=8)
            panel.set_xlim(0, 2.1 * max(*values, 1e-9))
            panel.set_title(title, loc="left", fontsize=9)
            panel.set_xticks([])
            panel.spines["bottom"].set_visible(False)
        return text()


def steps_plot(steps) -> str:
    """Draws what the signal-to-noise ratio was after each step that was tried.

    steps: (name, SQNR in dB, kept) of what was tried, in order."""
    with drawn(9.5, 0.5 + 0.24 * len(steps)) as (axes, text):
        at = np.arange(len(steps))[::-1]
        axes.barh(
            at, [_bar(sqnr) for _, sqnr, _ in steps], 0.65, color=[INT8 if kept else "#cbd5e1" for *_, kept in steps]
        )
        axes.set_yticks(at, [short_name(name, 44) for name, *_ in steps])
        for height, (_, sqnr, _) in zip(at, steps):
            axes.annotate(
                in_words(sqnr), (_bar(sqnr), height), (3, 0), textcoords="offset points", va="center", fontsize=7
            )
        axes.set_xlabel("SQNR of the outputs on held-out samples, dB; dark: kept")
        return text()


def noise(errors) -> str:
    """Draws the noise of every operator, its own and what it inherits.

    errors: (number, name, LayerError) in program order: own and inherited noise of every operator in int8, in dB
    below its signal."""
    many = len(errors) > 40
    with drawn(max(9.5, min(0.13 * len(errors), 16)), 3.0 if many else 3.8) as (axes, text):
        at = np.arange(len(errors))
        for offset, part, colour in ((-0.2, "own", OWN), (0.2, "inherited", INHERITED)):
            levels = np.array([clipped_decibels(getattr(e, part)) for _, _, e in errors])
            axes.bar(at + offset, levels - _FLOOR, 0.4, _FLOOR, label=part, color=colour)
        axes.set_ylabel("noise against the signal, dB")
        axes.set_ylim(_FLOOR, max([clipped_decibels(e.total) for *_, e in errors] + [-30.0]) + 8)
        axes.set_xlim(-0.8, len(errors) - 0.2)
        axes.grid(axis="y", color="#e5e7eb", linewidth=0.7)
        if many:
            every = -(-len(errors) // 40)
            axes.set_xticks(at[::every], [str(number) for number, *_ in errors][::every], fontsize=7)
            axes.set_xlabel("operator, numbered as in the table")
        else:
            axes.set_xticks(
                at,
                [f"{short_name(name, 22)}  {number}" for number, name, _ in errors],
                rotation=60,
                ha="right",
                rotation_mode="anchor",
                fontsize=7,
            )
        axes.legend(ncols=2, loc="upper right")
        return text()


def sensitivity(ranking, left) -> str:
    """Draws the noise that the most sensitive layers add; those in float are red.

    ranking: entries {"name", "error"} most sensitive first; left: the names in float."""
    shown = ranking[:40]
    with drawn(9.5, 3.4) as (axes, text):
        at = np.arange(len(shown))
        levels = np.array([clipped_decibels(entry["error"]) for entry in shown])
        axes.bar(at, levels - _FLOOR, 0.7, _FLOOR, color=[RED if entry["name"] in left else OWN for entry in shown])
        axes.set_ylim(_FLOOR, max(levels.max(), -30.0) + 5)
        axes.set_xticks(
            at,
            [short_name(entry["name"], 22) for entry in shown],
            rotation=60,
            ha="right",
            rotation_mode="anchor",
            fontsize=7,
        )
        axes.set_ylabel("noise of the outputs, dB")
        axes.grid(axis="y", color="#e5e7eb", linewidth=0.7)
        return text()


def intervals(rows, target: float) -> str:
    """Draws the drops of a study with their intervals.

    rows: (label, drop, low, high, whether everything is int8) each; target: the largest drop that is allowed. Drops
    below, intervals across."""
    with drawn(10.5, 0.7 + 0.22 * len(rows)) as (axes, text):
        at = np.arange(len(rows))[::-1]
        ends = [value for _, _, *both, _ in rows for value in both if np.isfinite(value)]
        most = 2 * max([target, *map(abs, ends)])  # What is not finite stands at this end.
        for height, (_, drop, low, high, int8) in zip(at, rows):
            colour = RED if not drop <= target else (INT8 if int8 else INHERITED)
            drop, low, high = (value if np.isfinite(value) else most for value in (drop, low, high))
            axes.plot([low, high], [height, height], color=colour, linewidth=1.5)
            axes.plot([drop], [height], "o", color=colour, markersize=4)
        axes.axvline(0, color="#9ca3af", linewidth=0.8)
        axes.axvline(target, color=RED, linewidth=0.8, linestyle="--")
        axes.set_yticks(at, [label for label, *_ in rows], fontsize=7)
        axes.set_xscale("symlog", linthresh=max(target, 1e-6)) if most > 40 * target else None
        axes.grid(axis="x", color="#e5e7eb", linewidth=0.7)
        return text()


def clipped_decibels(error: float) -> float:
    """The decibels of an error relative to the signal's power, between the floor and the ceiling of the plots."""
    return float(np.clip(10 * np.log10(max(error, 1e-30)), _FLOOR, _CEILING))


def _bar(sqnr):
    """Length of the bar of so many decibels: of what is not finite there is none."""
    return float(np.clip(sqnr, -_CEILING, 120.0)) if sqnr > -np.inf else 0.0


def short_name(name: str, most: int = 28) -> str:
    """The end of a long name, which tells layers apart; `$` would start a formula."""
    name = printable(name).replace("\n", " ")
    return (name if len(name) <= most else "…" + name[-most:]).replace("$", "")
