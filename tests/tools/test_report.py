"""The report: complete, self-contained, and alive in a browser."""

import re
import shutil
import subprocess

import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--virtual-time-budget=3000",
    "--window-size=1300,2400",
)

# Clicks on a heading, filters, and writes what the page then shows where --dump-dom can find it.
PROBE = """<script>
const column = (at) => [...document.querySelectorAll("#operators tbody tr")].map((row) => row.cells[at].dataset.value ?? row.cells[at].textContent.trim());
const heads = document.querySelectorAll("#operators th"), last = heads.length - 1, found = {};
heads[last].click(); found.ascending = column(last); found.arrow = heads[last].getAttribute("aria-sort");
heads[last].click(); found.descending = column(last);
heads[1].click(); found.names = column(1);
const box = document.getElementById("filter"); box.value = "depthwise"; box.dispatchEvent(new Event("input"));
found.filtered = [...document.querySelectorAll("#operators tbody tr")].filter((row) => !row.hidden).length;
found.overflow = [document.documentElement, ...document.querySelectorAll("section")].filter((part) => part.scrollWidth > part.clientWidth).length;
const out = document.createElement("pre"); out.id = "probe"; out.textContent = JSON.stringify(found); document.body.append(out);
</script></body>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory, small, octet):
    folder = tmp_path_factory.mktemp("report")
    octet(
        "compile",
        small / "small.onnx",
        "--calib",
        small / "calib.npz",
        "--validate",
        small / "val.npz",
        "--max-drop",
        "0.1",
        "-o",
        folder / "s.octet",
        "--report",
        folder / "report.html",
    )
    assert not (folder / "s.octet.state").exists(), "a search that is done leaves no state"
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser():
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    return found


def opened(browser, folder, url, *options):
    """What the browser prints: (page, log)."""
    found = subprocess.run(
        [browser, *QUIET, f"--user-data-dir={folder / 'profile'}", *options, url],
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert found.returncode == 0, found.stderr[-500:]
    return found.stdout, found.stderr


def test_it_needs_nothing_but_itself(page):
    text = page.read_text()
    assert not re.search(r"(src|href)=\"(https?:)?//", text) and '<link rel="stylesheet' not in text
    assert (
        text.count("<svg") >= 10
        and "as calibrated" in text
        and "own SQNR, dB" in text
        and "clipped" in text
        and "channels" in text
    )


def test_it_opens_and_sorts_in_a_browser(page, browser, tmp_path):
    import json

    probed = tmp_path / "probed.html"
    probed.write_text(page.read_text().replace("</body>", PROBE))
    text, log = opened(browser, tmp_path, probed.as_uri(), "--dump-dom")
    assert "CONSOLE" not in log, [line for line in log.splitlines() if "CONSOLE" in line]
    assert int(re.search(r'data-ready="(\d+)"', text)[1]) >= 10
    found = json.loads(re.search(r'<pre id="probe">(.*?)</pre>', text)[1].replace("&lt;", "<").replace("&gt;", ">"))
    up, down = ([float(value) for value in found[key] if value] for key in ("ascending", "descending"))
    assert len(up) >= 4 and up == sorted(up) and down == sorted(up, reverse=True) and found["arrow"] == "ascending"
    assert found["names"] == sorted(found["names"]) and found["filtered"] == 1
    assert found["overflow"] == 0, "something is wider than the window"


def test_it_can_be_looked_at(page, browser, tmp_path):
    opened(browser, tmp_path, page.as_uri(), f"--screenshot={tmp_path / 'page.png'}")
    image = pytest.importorskip("matplotlib.image").imread(tmp_path / "page.png")
    assert image.shape[:2] == (2400, 1300)
    colours = (image[..., :3] * 255).astype(int)
    for name, colour in {
        "own noise": (0x25, 0x63, 0xEB),
        "inherited noise": (0xF5, 0x9E, 0x0B),
        "int8": (0x0F, 0x76, 0x6E),
    }.items():
        assert (abs(colours - colour).max(axis=-1) < 12).sum() > 200, f"nothing in the colour of {name}"
