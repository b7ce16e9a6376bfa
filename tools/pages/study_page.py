"""The tables of octet study as one HTML page."""

from ...targets.schema import printable
from . import plots
from .report_page import SORT, STYLE

_PAGE = f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<title>{{{{ title }}}}</title><style>{STYLE}</style></head><body>
<header><h1>{{{{ title }}}}</h1><p>fp32 {{{{ report.metric }}}} {{{{ "%.4f"|format(report.fp32) }}}} on {{{{ report.samples }}}} samples; seed {{{{ report.seed }}}}</p></header><main>
<section><h2>Loss against fp32</h2><p>The drop of the metric and its 95 % interval over the same samples. Dashed: the largest drop allowed ({{{{ "%.4f"|format(target) }}}}); red: beyond it;
orange: within it with operators in float; green: within it, all in int8.</p><div class="wide">{{{{ plot|safe }}}}</div></section>
<section id="rows"><h2>All figures</h2><p>Click a heading to sort.</p><table><thead><tr>{{% for c in columns %}}<th data-sort{{% if loop.index > 3 %}} class="n"{{% endif %}}>{{{{ c }}}}</th>{{% endfor %}}</tr></thead><tbody>
{{% for row in rows %}}<tr>{{% for cell in row %}}<td{{% if loop.index > 3 %}} class="n"{{% endif %}}>{{{{ cell }}}}</td>{{% endfor %}}</tr>
{{% endfor %}}</tbody></table></section></main><script>{SORT}document.body.dataset.ready = document.querySelectorAll("svg").length;</script></body></html>
"""


def page(name: str, report: dict, columns, rows) -> str:
    """The HTML page of a study.

    report: of experiments.study. rows: its rows in words, under `columns`. Raises OctetError without matplotlib or
    jinja2."""
    plots.require_plots("--html")
    from jinja2 import Environment

    target = report["max_drop"] * abs(report["fp32"])
    drawn = [(_label(row), row["drop"], row["low"], row["high"], not row["in_float"]) for row in report["rows"]]
    content = {
        "title": f"Study of {name}",
        "report": report,
        "columns": columns,
        "rows": rows,
        "target": target,
        "plot": plots.intervals(drawn, target),
    }
    # Names may hold what controls a terminal.
    return printable(Environment(autoescape=True).from_string(_PAGE).render(content))


def _label(row):
    left = f", {row['in_float']} in float" if row["in_float"] else ""
    return f"{row['weights']}, BatchNorm {row['batch_norm']}, {row['calibration']}{left}"
