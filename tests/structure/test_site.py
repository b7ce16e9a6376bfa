"""The site of documents (tools/site.py, mkdocs.yml): every document is on it, and links lead somewhere."""

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import octet
from octet.tools import site


def anchors(document: Path) -> set[str]:
    """Of its headings, as the table of contents of Python-Markdown makes them."""
    titles = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", document.read_text(), flags=re.S), re.M)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower()) for title in titles}


@pytest.mark.parametrize("document", site.documents(), ids=str)
def test_links_lead_somewhere(document):
    path = site.ROOT / document
    for target, anchor in site.LINK.findall(path.read_text()):
        found = path if not target else path.parent / target
        assert found.exists(), f"{document} links to {target}"
        assert not anchor or anchor in anchors(found), f"{document} links to {target}#{anchor}"


def test_every_document_has_its_place():
    listed = re.findall(r"^ +- [^:]+: (\S+\.md)$", (site.ROOT / "mkdocs.yml").read_text(), re.M)
    assert sorted(listed) == sorted(map(str, [*site.documents(), site.API]))


def test_the_reference_has_every_public_name():
    chapters = re.findall(r"^::: octet[\w.]*\.(\w+)$", site.reference(), re.M)
    assert chapters == sorted(octet.__all__)


@pytest.mark.skipif(not all(map(find_spec, ("mkdocs", "material", "mkdocstrings"))), reason="needs the extra docs")
def test_it_builds(tmp_path):
    site.write_site(tmp_path / "build" / "site-source")
    shutil.copy(site.ROOT / "mkdocs.yml", tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
