"""No pickle is read from a file: it would run whatever it says."""

import ast
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from octet.passes.calibrate import store
from octet.targets.errors import DataError
from octet.targets.npz import read_npz

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for room in ("passes", "targets", "tuning", "tools") for path in (ROOT / room).rglob("*.py"))
FORBIDDEN = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}


def offences(text):
    """Lines that import such a module or let NumPy read one. Texts without the words are not parsed."""
    words = (*FORBIDDEN, "allow_pickle")
    for node in ast.walk(ast.parse(text if any(word in text for word in words) else "")):
        names = (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom) and not node.level
            else []
        )
        if any(name.split(".")[0] in FORBIDDEN for name in names):
            yield node.lineno
        if (
            isinstance(node, ast.keyword)
            and node.arg == "allow_pickle"
            and not (isinstance(node.value, ast.Constant) and node.value.value is False)
        ):
            yield node.value.lineno


def test_the_product_reads_none():
    assert {str(path.relative_to(ROOT)): found for path in SOURCES if (found := list(offences(path.read_text())))} == {}
    assert (
        len(
            list(
                offences(
                    "import pickle\nfrom marshal import loads\nnp.load(f, allow_pickle=True)\nnp.load(f, "
                    "allow_pickle=False)"
                )
            )
        )
        == 3
    )


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_one_that_is_given_is_not_run(tmp_path):
    bomb = np.array([Bomb(tmp_path / "ran")], object)
    np.savez(tmp_path / "a.npz", image=bomb)
    np.savez(tmp_path / "stats.npz", octet_statistics=bomb, ranges=bomb, histograms=bomb)
    with zipfile.ZipFile(tmp_path / "raw.npz", "w") as file:
        file.writestr("image.npy", pickle.dumps(Bomb(tmp_path / "ran")))
    for name in ("a.npz", "raw.npz"):
        with pytest.raises(ValueError):
            read_npz(tmp_path / name, 1 << 20)
    with pytest.raises(DataError):
        store.load(tmp_path / "stats.npz")
    assert not (tmp_path / "ran").exists()
    pickle.loads(pickle.dumps(Bomb(tmp_path / "ran")))
    assert (tmp_path / "ran").exists(), "the bomb is one"
