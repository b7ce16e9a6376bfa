"""What the site of documents is built from: `make docs`, or `python -m octet.tools.site FOLDER`, and then mkdocs with
mkdocs.yml.

The documents keep their places to each other, so that their links hold there as they do in the repository; files that
they link to lie beside them. The reference of the commands is made from the commands, that of the API from the
docstrings of the public names."""

import re
import shutil
import sys
from pathlib import Path

from .commands_page import page

ROOT = Path(__file__).resolve().parents[1]
API = Path("reference", "api.md")
# It finds (file or nothing, heading or nothing) of a link that stays on the site.
LINK = re.compile(r"\]\(([^)#:\s]*)(?:#([^)\s]+))?\)")

_HEAD = """# Python

The names of `import octet`. Each is imported when it is first used: \
loading and running a package never imports the compiler.
"""


def documents() -> list[Path]:
    """Every document, relative to the repository."""
    return [
        path.relative_to(ROOT)
        for pattern in ("*.md", "docs/*.md", "examples/*.md")
        for path in sorted(ROOT.glob(pattern))
    ]


def linked(document: Path) -> set[Path]:
    """The files that a document links to, relative to the repository. document: likewise."""
    text = (ROOT / document).read_text()
    found = {(ROOT / document.parent / target).resolve() for target, _ in LINK.findall(text) if target}
    return {path.relative_to(ROOT) for path in found if path.is_file()}


def reference() -> str:
    """Markdown: a chapter for every public name, as mkdocstrings writes them out."""
    from .. import _WHERE

    return "\n".join([_HEAD, *(f"::: octet{module}.{name}\n" for name, module in sorted(_WHERE.items()))])


def write_site(folder: Path) -> None:
    """Everything that mkdocs reads goes to `folder`, in place of what was there."""
    from .main import main

    shutil.rmtree(folder, ignore_errors=True)
    every = documents()
    for path in sorted({*every, *(found for document in every for found in linked(document))}):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, folder / path)
    (folder / "docs" / "commands.md").write_text(page(main))
    (folder / API).parent.mkdir(parents=True, exist_ok=True)
    (folder / API).write_text(reference())
    # The package is linked under its own name, whatever the repository's folder is called, as the reader of docstrings
    # finds it without importing.
    package = folder.with_name("site-python") / "octet"
    package.parent.mkdir(parents=True, exist_ok=True)
    package.unlink(missing_ok=True)
    package.symlink_to(ROOT)


if __name__ == "__main__":
    write_site(Path(sys.argv[1]))
