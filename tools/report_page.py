"""The page of the report: one HTML file, no requests. Filled by report.py."""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title>
<style>
body { font: 14px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 72em; padding: 0 1em; color: #1b1f24; }
table { border-collapse: collapse; margin: 1em 0; } th, td { padding: .25em .7em; text-align: left; border-bottom: 1px solid #d9dee4; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; } th[data-sort] { cursor: pointer; } th[data-sort]::after { content: " ↕"; color: #9aa4af; }
.float td { background: #fff4e5; } .grid { display: flex; flex-wrap: wrap; } svg { max-width: 100%; height: auto; }
</style></head><body>
<h1>{{ title }}</h1>
<table id="summary"><tr><th></th><th class="n">fp32</th><th class="n">int8</th></tr>
{% for row in summary %}<tr><td>{{ row[0] }}</td><td class="n">{{ row[1] }}</td><td class="n">{{ row[2] }}</td></tr>
{% endfor %}</table>
{% if steps %}<h2>What was tried</h2>
<table id="steps"><tr><th>step</th><th class="n">SQNR dB</th><th class="n">drop</th><th></th></tr>
{% for s in steps %}<tr><td>{{ s.name }}</td><td class="n">{{ s.sqnr }}</td><td class="n">{{ s.drop }}</td><td>{{ "kept" if s.kept }}</td></tr>
{% endfor %}</table>{% endif %}
<h2>Noise by operator</h2>
<p>Error over signal of each result, against fp32 on held-out samples: what the operator adds itself, and what it inherits.</p>
{{ noise|safe }}
<h2>Operators</h2>
<table id="operators"><thead><tr>{% for c in columns %}<th data-sort{% if c.number %} class="n"{% endif %}>{{ c.name }}</th>{% endfor %}</tr></thead><tbody>
{% for row in operators %}<tr{% if row.dtype == "float" %} class="float"{% endif %}>
<td>{{ row.name }}</td><td>{{ row.op }}</td><td>{{ row.dtype }}</td><td>{{ row.why }}</td>
<td class="n" data-value="{{ row.own_value }}">{{ row.own }}</td><td class="n" data-value="{{ row.inherited_value }}">{{ row.inherited }}</td><td class="n" data-value="{{ row.total_value }}">{{ row.total }}</td></tr>
{% endfor %}</tbody></table>
<h2>Activations</h2><p>Values on the calibration samples; red: the range that the 256 steps cover.</p>
<div class="grid" id="activations">{% for plot in activations %}<div>{{ plot|safe }}</div>{% endfor %}</div>
<h2>Weights</h2><p>Largest magnitude by output channel.</p>
<div class="grid" id="weights">{% for plot in weights %}<div>{{ plot|safe }}</div>{% endfor %}</div>
<script>
document.querySelectorAll("th[data-sort]").forEach((head) => head.addEventListener("click", () => {
  const body = head.closest("table").tBodies[0], at = head.cellIndex, up = head.dataset.up !== "1";
  head.dataset.up = up ? "1" : "0";
  const key = (row) => { const c = row.cells[at]; return c.dataset.value !== undefined ? parseFloat(c.dataset.value || "-1e9") : c.textContent; };
  [...body.rows].sort((a, b) => { const x = key(a), y = key(b); return (x < y ? -1 : x > y ? 1 : 0) * (up ? 1 : -1); }).forEach((row) => body.append(row));
}));
document.body.dataset.ready = document.querySelectorAll("svg").length;
</script></body></html>
"""
