"""The page of the report: one HTML file, no requests. Filled by report.py."""

STYLE = """
:root { --ink: #111827; --soft: #6b7280; --line: #e5e7eb; --accent: #0f766e; --warn: #fff7ed; }
* { box-sizing: border-box; } html { scroll-behavior: smooth; }
body { font: 14px/1.5 system-ui, "Segoe UI", sans-serif; margin: 0; color: var(--ink); background: #f9fafb; }
header, main { max-width: 1240px; margin: 0 auto; padding: 0 24px; } header { padding-top: 28px; }
h1 { margin: 0; font-size: 26px; } h2 { margin: 0 0 4px; font-size: 18px; } p { margin: 0 0 10px; color: var(--soft); max-width: 80em; }
nav { position: sticky; top: 0; background: #f9fafbee; border-bottom: 1px solid var(--line); z-index: 2; }
nav div { max-width: 1240px; margin: 0 auto; padding: 8px 24px; display: flex; gap: 18px; flex-wrap: wrap; } nav a { color: var(--accent); text-decoration: none; }
section { background: #fff; border: 1px solid var(--line); border-radius: 8px; padding: 18px 20px; margin: 18px 0; scroll-margin-top: 48px; overflow-x: auto; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(230px, 1fr)); gap: 14px; margin: 18px 0; }
.tile { background: #fff; border: 1px solid var(--line); border-top: 3px solid var(--accent); border-radius: 8px; padding: 12px 16px; }
.tile.bad { border-top-color: #dc2626; } .tile b { display: block; font-size: 20px; font-weight: 600; white-space: nowrap; } .tile span { color: var(--soft); font-size: 12.5px; }
table { border-collapse: collapse; width: 100%; margin: 6px 0; font-size: 13px; } th, td { padding: 4px 7px; text-align: left; border-bottom: 1px solid var(--line); }
th { font-weight: 600; background: #f3f4f6; vertical-align: bottom; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
th[data-sort] { cursor: pointer; user-select: none; } th[data-sort]::after { content: " ↕"; color: #9ca3af; }
th[aria-sort=ascending]::after { content: " ↑"; color: var(--accent); } th[aria-sort=descending]::after { content: " ↓"; color: var(--accent); }
td.name { font-family: ui-monospace, monospace; font-size: 12px; overflow-wrap: anywhere; min-width: 15em; } tr.float td { background: var(--warn); }
td.bar { background: linear-gradient(to left, #ccfbf1 calc(100% * var(--level, 0)), transparent 0); }
.kept { color: var(--accent); font-weight: 600; } .tools { display: flex; gap: 16px; align-items: center; margin: 6px 0; color: var(--soft); }
input[type=search] { font: inherit; padding: 4px 8px; border: 1px solid #d1d5db; border-radius: 6px; width: 22em; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(340px, 1fr)); gap: 14px 20px; } figure { margin: 0; }
figcaption { font-size: 12px; color: var(--soft); } figcaption b { display: block; color: var(--ink); font: 12px ui-monospace, monospace; overflow-wrap: anywhere; }
svg { max-width: 100%; height: auto; display: block; } .wide svg { width: 100%; } footer { color: var(--soft); text-align: center; padding: 8px 0 32px; }
"""

SORT = """
"use strict";
const order = (a, b) => a < b ? -1 : a > b ? 1 : 0;
document.querySelectorAll("th[data-sort]").forEach((head) => head.addEventListener("click", () => {
  const body = head.closest("table").tBodies[0], at = head.cellIndex, numbers = head.classList.contains("n");
  const up = head.getAttribute("aria-sort") !== "ascending";
  head.parentNode.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const text = (row) => row.cells[at].dataset.value ?? row.cells[at].textContent.trim();
  [...body.rows].sort((a, b) => {
    const x = text(a), y = text(b);
    if (!x || !y) return x ? -1 : y ? 1 : 0;
    const found = numbers ? order(parseFloat(x), parseFloat(y)) : x.localeCompare(y, "en", { numeric: true });
    return up ? found : -found;
  }).forEach((row) => body.append(row));
}));
"""

_SCRIPT = """
const words = document.getElementById("filter"), floats = document.getElementById("floats"), rows = [...document.querySelectorAll("#operators tbody tr")];
const filter = () => rows.forEach((row) => {
  row.hidden = (floats.checked && !row.classList.contains("float")) || !row.textContent.toLowerCase().includes(words.value.toLowerCase());
});
words.addEventListener("input", filter);
floats.addEventListener("change", filter);
document.body.dataset.ready = document.querySelectorAll("svg").length;
"""

_BODY = """
<header><h1>{{ title }}</h1><p>{{ subtitle }}</p></header>
<nav><div><a href="#summary">Before and after</a>{% if steps %}<a href="#workflow">What was tried</a>{% endif %}<a href="#noise">Noise</a>
{% if ranking %}<a href="#sensitivity">Sensitivity</a>{% endif %}<a href="#operators">Operators</a>{% for id, name, _ in sections %}<a href="#{{ id }}">{{ name }}</a>{% endfor %}
<a href="#activations">Activations</a><a href="#weights">Weights</a></div></nav>
<main>
<div class="tiles">{% for tile in tiles %}<div class="tile{% if tile.bad %} bad{% endif %}"><span>{{ tile.name }}</span><b>{{ tile.value }}</b><span>{{ tile.note }}</span></div>{% endfor %}</div>
<section id="summary"><h2>Before and after</h2><p>fp32 on Octet's own float kernels, int8 as packaged, on the machine that compiled it.</p><div class="wide">{{ before_after|safe }}</div></section>
{% if steps %}<section id="workflow"><h2>What was tried</h2>
<p>SQNR of the network's outputs against fp32 on held-out calibration samples; drop on the validation data, relative to fp32.</p>
<table><thead><tr><th>step</th><th class="n">SQNR, dB</th><th class="n">drop</th><th>measured on</th><th></th></tr></thead><tbody>
{% for s in steps %}<tr><td>{{ s.name }}</td><td class="n">{{ s.sqnr }}</td><td class="n">{{ s.drop }}</td><td>{{ "the compiled module" if s.compiled else "the simulated network" }}</td><td class="kept">{{ "kept" if s.kept }}</td></tr>
{% endfor %}</tbody></table><div class="wide">{{ steps_plot|safe }}</div></section>{% endif %}
<section id="noise"><h2>Where the noise comes from</h2>
<p>Of each operator's result in int8, against fp32 on held-out samples: what it adds itself when all before it is exact, and what it inherits. Higher is worse.</p><div class="wide">{{ noise|safe }}</div></section>
{% if ranking %}<section id="sensitivity"><h2>Sensitivity</h2><p>Noise of the network's outputs when a single operator is int8 and all others are fp32. Red: left in float.</p><div class="wide">{{ sensitivity|safe }}</div>
<table><thead><tr><th data-sort>operator</th><th data-sort class="n">SQNR alone, dB</th><th data-sort class="n">samples lost beyond chance, %</th><th data-sort class="n">multiply-adds, M</th><th data-sort>runs in</th></tr></thead><tbody>
{% for r in ranking %}<tr{% if r.float %} class="float"{% endif %}><td class="name">{{ r.name }}</td><td class="n">{{ r.sqnr }}</td><td class="n">{{ "%.2f"|format(100 * r.lost) }}</td><td class="n">{{ "%.2f"|format(r.macs / 1e6) }}</td><td>{{ "float" if r.float else "int8" }}</td></tr>
{% endfor %}</tbody></table></section>{% endif %}
<section id="operators"><h2>Operators</h2><p>As the compiler sees them, in program order; click a heading to sort.</p>
<div class="tools"><input type="search" id="filter" placeholder="filter by any word" aria-label="filter"><label><input type="checkbox" id="floats"> in float only</label></div>
<table><thead><tr>{% for c in columns %}<th data-sort{% if c.number %} class="n"{% endif %}>{{ c.name }}</th>{% endfor %}</tr></thead><tbody>
{% for row in operators %}<tr{% if row.dtype == "float" %} class="float"{% endif %}>
<td class="n">{{ row.number }}</td><td class="name">{{ row.name }}</td><td>{{ row.op }}</td><td>{{ row.dtype }}</td><td class="n">{{ row.macs }}</td><td>{{ row.why }}</td>
<td class="n" data-value="{{ row.own_value }}">{{ row.own }}</td><td class="n" data-value="{{ row.inherited_value }}">{{ row.inherited }}</td><td class="n bar" data-value="{{ row.total_value }}"{% if row.level %} style="--level: {{ row.level }}"{% endif %}>{{ row.total }}</td></tr>
{% endfor %}</tbody></table></section>
{% for id, name, body in sections %}<section id="{{ id }}"><h2>{{ name }}</h2>{{ body|safe }}</section>
{% endfor %}<section id="activations"><h2>Activations</h2><p>How often each value occurs on the calibration samples (logarithmic). Red lines: the range that int8 covers; red bars: what is clipped to it.
{% if more_activations %}{{ more_activations }} more tensors are not shown.{% endif %}</p>
<div class="grid">{% for f in activations %}<figure><figcaption><b>{{ f.name }}</b>{{ f.note }}</figcaption>{{ f.plot|safe }}</figure>{% endfor %}</div></section>
<section id="weights"><h2>Weights</h2><p>Smallest to largest weight of every output channel.{% if more_weights %} {{ more_weights }} more layers are not shown.{% endif %}</p>
<div class="grid">{% for f in weights %}<figure><figcaption><b>{{ f.name }}</b>{{ f.note }}</figcaption>{{ f.plot|safe }}</figure>{% endfor %}</div></section>
</main><footer>made by octet</footer>
"""

PAGE = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,"><title>{{{{ title }}}}</title>
<style>{STYLE}</style></head><body>{_BODY}<script>{SORT}{_SCRIPT}</script></body></html>
"""
